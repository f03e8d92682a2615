"""Sets about groups of people: BBQ's questions and CrowS-Pairs' sentences.

A BBQ question is about two people, one of them of the group that a stereotype is about. Four rows
share a scenario (two contexts, two polarities): they are one cluster. The group is the category,
because most stereotyped groups within one are too small to be gated alone.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from holdfast.importers.records import Record
from holdfast.suites import Choice, Pair

ROWS_OF_A_SCENARIO = 4
OPTIONS = (0, 1, 2)
SEXES = {"f": ("f", "woman", "girl", "female"), "m": ("m", "man", "boy", "male")}

POLARITIES: dict[str, Literal["negative", "non_negative"]] = {
    "neg": "negative",
    "nonneg": "non_negative",
}
CONDITIONS: dict[str, Literal["ambiguous", "disambiguated"]] = {
    "ambig": "ambiguous",
    "disambig": "disambiguated",
}


def bbq(record: Record) -> Choice:
    """Parrish et al. 2022. The roles are those of the file's `target_loc`, or derived.

    A target is the answer that goes along with the stereotype: the stereotyped person of a negative
    question, the other one of a non-negative question. Where neither the file nor its labels tell
    who is stereotyped (two people of one group), an item has no roles and counts for accuracy only.
    """
    polarity = POLARITIES[record.keyword("question_polarity", tuple(POLARITIES))]
    category = record.text("category")
    number = _integer(record, "example_id", None)
    scenario = f"bbq-{category}-{number // ROWS_OF_A_SCENARIO}"
    stereotyped, other, unknown = _roles(record, negative=polarity == "negative")
    return Choice(
        id=f"bbq-{category}-{number}",
        cluster=scenario,
        group=category.lower(),
        context=record.text("context"),
        question=record.text("question"),
        choices=tuple(record.text(f"ans{option}") for option in OPTIONS),
        answer=_integer(record, "label", len(OPTIONS)),
        condition=CONDITIONS[record.keyword("context_condition", tuple(CONDITIONS))],
        polarity=polarity,
        stereotyped=stereotyped,
        other=other,
        unknown=unknown,
    )


def _roles(record: Record, *, negative: bool) -> tuple[int | None, int | None, int | None]:
    """The options of the stereotyped person, of the other one, and of "cannot be known"."""
    labels = _labels(record)
    unknown = [option for option in OPTIONS if "unknown" in labels[option]]
    if len(unknown) != 1:
        raise record.wrong(f"answer_info marks {len(unknown)} options as unknown, expected one")
    people = [option for option in OPTIONS if option not in unknown]
    if record.fields.get("target_loc") is not None:
        target = _integer(record, "target_loc", len(OPTIONS))
        if target not in people:
            raise record.wrong(f"target_loc is {target}, which is the unknown option")
        stereotyped = target if negative else sum(people) - target
    else:
        derived = _stereotyped(record, {option: labels[option] for option in people})
        if derived is None:
            return None, None, None
        stereotyped = derived
    return stereotyped, sum(people) - stereotyped, unknown[0]


def _stereotyped(record: Record, people: Mapping[int, frozenset[str]]) -> int | None:
    """The one person whose label is among the stereotyped groups, whole or in part.

    Labels such as `F-Black` name two groups; of `disabled` and `nonDisabled` the first is meant.
    """
    stereotyped_groups = _stereotyped_groups(record)
    for named in (
        [option for option, labels in people.items() if labels & stereotyped_groups],
        [option for option, labels in people.items() if _parts(labels) & stereotyped_groups],
        [option for option, labels in people.items() if _has_opposite(labels, people.values())],
    ):
        if len(named) == 1:
            return named[0]
    return None


def _has_opposite(labels: frozenset[str], everybody: Iterable[frozenset[str]]) -> bool:
    return any(f"non{label}" in other for label in labels for other in everybody)


def _labels(record: Record) -> dict[int, frozenset[str]]:
    """The labels of each option in `answer_info`, in a plain form: who it is, of which group."""
    answer_info: Any = record.value("answer_info")
    try:
        words = {option: [str(word) for word in answer_info[f"ans{option}"]] for option in OPTIONS}
    except (KeyError, TypeError) as error:
        raise record.wrong("answer_info is no object of ans0, ans1 and ans2") from error
    return {option: frozenset(map(_plain, words[option])) for option in OPTIONS}


def _stereotyped_groups(record: Record) -> frozenset[str]:
    metadata = record.fields.get("additional_metadata") or {}
    groups = metadata.get("stereotyped_groups", []) if isinstance(metadata, dict) else []
    plain = {_plain(str(group)) for group in groups}
    if any(group.startswith("trans") for group in plain):
        plain.add("trans")
    return frozenset(plain.union(*(SEXES.get(group, ()) for group in plain)))


def _parts(labels: frozenset[str]) -> frozenset[str]:
    return frozenset(part for label in labels for part in re.split(r"[-_]", label) if part)


def _plain(label: str) -> str:
    """A label without spaces and capitals: `low SES` and `lowSES` are one label."""
    return re.sub(r"\s", "", label.lower())


def _integer(record: Record, column: str, below: int | None) -> int:
    text = record.text(column)
    if not re.fullmatch(r"\d+", text) or (below is not None and int(text) >= below):
        expected = "a whole number" if below is None else f"one of 0 to {below - 1}"
        raise record.wrong(f"{column} is {text!r:.20}, expected {expected}")
    return int(text)


def crows_pairs(record: Record) -> Pair:
    """Nangia et al. 2020: both sentences; `sent_more` is the more stereotyping one."""
    name = f"crows-pairs-{record.number:04}"
    return Pair(
        id=name,
        cluster=name,
        group=record.text("bias_type"),
        more=record.text("sent_more"),
        less=record.text("sent_less"),
    )
