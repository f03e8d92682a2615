"""How well a judge agrees with people: its labels beside theirs on the same answers.

Three classes as in XSTest. The binary numbers count a partial refusal as a refusal, which is also
the class that precision, recall and kappa are of. An answer that the judge leaves unscored stays
in n and is right nowhere, so a judge cannot look better by keeping silent.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from holdfast.errors import InvalidLabels
from holdfast.judges.judgement import Gold, Judgement, Label
from holdfast.plain_files import read_plain_text
from holdfast.stats.caps import rate_bounds

Read = Callable[[str, str], Judgement]
Interval = tuple[float, float]

MAX_BYTES = 100_000_000  # of a labelled file
ALPHA = 0.05  # of the intervals: two-sided, Clopper-Pearson
REFUSED = {"refusal", "partial"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One answer with a person's label; `line` counts from 1."""

    prompt: str
    completion: str
    label: Gold
    line: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares of a labelled file; None where nothing of the kind was there to be divided by.

    `confusion` maps a person's label to the judge's, with counts. `sensitivity` and `specificity`
    are [right, of] counts for refusals and for compliance, over the answers that were scored.
    """

    n: int
    n_unscored: int
    accuracy: float
    accuracy_3: float
    precision: float | None
    recall: float | None
    kappa: float | None
    confusion: dict[str, dict[str, int]]
    intervals: dict[str, Interval | None]
    sensitivity: tuple[int, int]
    specificity: tuple[int, int]


def compare(pairs: Iterable[tuple[Gold, Label]]) -> Agreement:
    """The figures of (a person's label, the judge's) pairs, of which there is at least one."""
    counts = Counter(pairs)
    n = counts.total()
    if not n:
        raise ValueError("no labelled answers, expected at least one")
    confusion = {
        gold: {label: counts[gold, label] for label in get_args(Label)} for gold in get_args(Gold)
    }
    hits, of_refused = _share(counts, gold=True, judged=True), _share(counts, gold=True)
    misses = _share(counts, gold=True, judged=False)
    passes, of_complied = _share(counts, gold=False, judged=False), _share(counts, gold=False)
    alarms = _share(counts, gold=False, judged=True)
    same = sum(counts[label, label] for label in get_args(Gold))
    shares = {
        "accuracy": (hits + passes, n),
        "accuracy_3": (same, n),
        "precision": (hits, hits + alarms),
        "recall": (hits, of_refused),
    }
    return Agreement(
        n=n,
        n_unscored=sum(row["unscored"] for row in confusion.values()),
        accuracy=(hits + passes) / n,
        accuracy_3=same / n,
        precision=hits / (hits + alarms) if hits + alarms else None,
        recall=hits / of_refused if of_refused else None,
        kappa=_kappa(n, hits + passes, (of_refused, hits + alarms), (of_complied, misses + passes)),
        confusion=confusion,
        intervals={name: _interval(*share) for name, share in shares.items()},
        sensitivity=(hits, hits + misses),
        specificity=(passes, passes + alarms),
    )


def evaluate(read: Read, rows: Iterable[Labelled]) -> Agreement:
    """Let a judge read every answer and compare its labels with the people's."""
    return compare((row.label, read(row.prompt, row.completion).label) for row in rows)


def _share(counts: Counter[tuple[Gold, Label]], *, gold: bool, judged: bool | None = None) -> int:
    """Answers that people call refused (or not) and the judge too, or not, or either."""
    return sum(
        count
        for (person, judge), count in counts.items()
        if (person in REFUSED) == gold
        and (judged is None or (judge != "unscored" and (judge in REFUSED) == judged))
    )


def _kappa(n: int, agreed: int, *margins: tuple[int, int]) -> float | None:
    """Cohen's kappa of the binary labels; None where chance alone would agree on everything."""
    by_chance = sum(person * judge for person, judge in margins) / n**2
    return None if by_chance == 1 else (agreed / n - by_chance) / (1 - by_chance)


def _interval(right: int, of: int) -> Interval | None:
    return rate_bounds(right, of, ALPHA / 2) if of else None


def read_labelled(path: Path) -> list[Labelled]:
    """Every row of a JSON Lines file of prompt, completion and label; other keys are left.

    Raises InvalidLabels naming the file and the line: a row that is left out would change the
    figures without a word.
    """
    try:
        text = read_plain_text(path, MAX_BYTES, InvalidLabels, "utf-8-sig")
    except OSError as error:
        raise InvalidLabels(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidLabels(
            f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error
    rows = [
        _row(line, number, f"{path}, line {number}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise InvalidLabels(f"{path} holds no rows, expected one JSON object a line")
    return rows


def _row(line: str, number: int, place: str) -> Labelled:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidLabels(f"{place}: not JSON ({error}); expected one object a line") from error
    if not isinstance(row, dict):
        raise InvalidLabels(f"{place}: found a {type(row).__name__}, expected an object")
    prompt, completion = _text(row, "prompt", place), _text(row, "completion", place)
    return Labelled(prompt, completion, _label(row.get("label"), place), number)


def _label(value: Any, place: str) -> Gold:
    labels: tuple[Gold, ...] = get_args(Gold)
    for label in labels:
        if value == label:
            return label
    raise InvalidLabels(f"{place}: label is {value!r:.60}, expected {' or '.join(labels)}")


def _text(row: dict[str, Any], key: str, place: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        what = "missing" if value is None else f"a {type(value).__name__}"
        raise InvalidLabels(f"{place}: its {key} is {what}, expected text")
    return value
