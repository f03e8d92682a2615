"""Multiple choice by full option text: MMLU, ARC, OpenBookQA, TruthfulQA, PIQA, BoolQ, WinoGrande.

Options keep the order of the file. Letters are only how some files name the right one.
"""

import re
from collections.abc import Sequence
from typing import Any

from holdfast.importers.records import Record
from holdfast.suites import Choice

LETTERS = "ABCDEFGHIJ"
MMLU_HEADER = ("question", "a", "b", "c", "d", "answer")  # its CSV files have none
BLANK = "_"


def mmlu(record: Record) -> Choice:
    """Hendrycks et al. 2021: the CSV files as published, or JSON with `choices`.

    The subject is a column, or the file's name without its split.
    """
    if "choices" in record.fields:
        options = record.texts("choices")
    else:
        options = tuple(record.text(letter) for letter in MMLU_HEADER[1:5])
    key = _key("mmlu", record)
    return Choice(
        id=key,
        cluster=key,
        topic=record.maybe("subject") or re.sub(r"_(test|dev|val)$", "", record.stem),
        question=record.text("question"),
        choices=options,
        answer=_position(record, "answer", options),
    )


def arc(record: Record) -> Choice:
    """Clark et al. 2018: AI2's JSON, the hub's, `question, choices, answer`, or with `gold`."""
    return _science(_key("arc", record), record)


def openbookqa(record: Record) -> Choice:
    """Mihaylov et al. 2018, in the forms of ARC."""
    return _science(_key("openbookqa", record), record)


def truthfulqa(record: Record) -> Choice:
    """Lin et al. 2022 as mc1: one true option among false ones, from the CSV or the mc JSON."""
    if "mc1_targets" in record.fields:
        options, right = _mc1(record)
    elif isinstance(record.fields.get("incorrect_answers"), list):
        options, right = (record.text("best_answer"), *record.texts("incorrect_answers")), 0
    else:
        false = [option.strip() for option in record.text("incorrect_answers").split(";")]
        options, right = (record.text("best_answer"), *filter(None, false)), 0
    key = _key("truthfulqa", record)
    return Choice(
        id=key,
        cluster=key,
        topic=record.maybe("category"),
        question=record.text("question"),
        choices=options,
        answer=right,
    )


def piqa(record: Record) -> Choice:
    """Bisk et al. 2020; labels are a column, or a `.lst` file that is named after the rows'."""
    if "gold" in record.fields:
        return _science(_key("piqa", record), record)
    if "label" not in record.fields:
        raise record.wrong("no label; name the file of labels (.lst) after this one")
    options = (record.text("sol1"), record.text("sol2"))
    key, right = _key("piqa", record), _position(record, "label", options)
    question = record.text("goal")
    return Choice(id=key, cluster=key, question=question, choices=options, answer=right)


def boolq(record: Record) -> Choice:
    """Clark et al. 2019: a passage and a question, answered by yes or no."""
    options: tuple[str, ...] = ("no", "yes")
    if "query" in record.fields:  # passage and question in one text
        passage, marker, question = record.text("query").rpartition("Question:")
        if not marker:
            raise record.wrong("query holds no `Question:`")
        options = record.texts("choices")
        right = _position(record, "gold", options)
    else:
        passage, question = record.text("passage"), record.text("question")
        right = _truth(record, "answer" if "answer" in record.fields else "label")
    key = _key("boolq", record)
    return Choice(
        id=key,
        cluster=key,
        context=passage.strip().removeprefix("Passage:").strip(),
        question=question.strip().removesuffix("Answer:").strip().rstrip("?") + "?",
        choices=options,
        answer=right,
    )


def winogrande(record: Record) -> Choice:
    """Sakaguchi et al. 2020, scored by what follows: P(rest of the sentence | with each option)."""
    if "sentence" in record.fields:
        before, _, rest = record.text("sentence").partition(BLANK)
        options = tuple(f"{before}{record.text(f'option{number}')}" for number in (1, 2))
        right = ("1", "2").index(record.keyword("answer", ("1", "2")))
    else:
        options, rest = record.texts("context_options"), record.text("continuation")
        right = _position(record, "gold", options)
    if not rest.strip():
        raise record.wrong(f"the sentence has no {BLANK} that something follows")
    key = _key("winogrande", record)
    return Choice(id=key, cluster=key, choices=options, answer=right, continuation=rest.strip())


def _science(key: str, record: Record) -> Choice:
    stem: Any = record.value("question", "question_stem", "query")
    choices: Any = record.fields.get("choices")
    if isinstance(stem, dict):  # as published: the question holds its stem and its choices
        stem, choices = stem.get("stem"), stem.get("choices")
    options, labels = _options(record, choices)
    if not isinstance(stem, str) or not stem.strip():
        raise record.wrong("the question has no text")
    question = stem.strip().removeprefix("Question:").removesuffix("Answer:").strip()
    if "gold" in record.fields:  # a place, whatever the labels are
        right = _position(record, "gold", options)
    elif (name := record.text("answerkey", "answer")) in labels:
        right = labels.index(name)
    else:
        raise record.wrong(f"the answer is {name!r:.20}, expected one of {', '.join(labels)}")
    return Choice(id=key, cluster=key, question=question, choices=options, answer=right)


def _options(record: Record, choices: Any) -> tuple[tuple[str, ...], list[str]]:
    """Texts and labels of the choices, from any of the forms that they come in."""
    match choices:
        case [{"text": _, "label": _}, *_]:
            pairs = [(choice.get("text"), choice.get("label")) for choice in choices]
        case {"text": [*texts], "label": [*labels]} if len(texts) == len(labels):
            pairs = list(zip(texts, labels, strict=True))
        case [str(), *_]:
            pairs = list(zip(choices, LETTERS, strict=False))
        case _:
            raise record.wrong("choices is in no known form")
    if not all(isinstance(text, str) and text.strip() for text, _ in pairs):
        raise record.wrong("choices holds something that is no text, or an empty one")
    return tuple(text.strip() for text, _ in pairs), [str(label) for _, label in pairs]


def _mc1(record: Record) -> tuple[tuple[str, ...], int]:
    match record.value("mc1_targets"):
        case {"choices": [*texts], "labels": [*marks]} if len(texts) == len(marks):
            pairs = list(zip(texts, marks, strict=True))
        case dict(targets):
            pairs = list(targets.items())
        case other:
            raise record.wrong(f"mc1_targets is a {type(other).__name__}, expected an object")
    right = [place for place, (_, mark) in enumerate(pairs) if mark == 1]
    if len(right) != 1:
        raise record.wrong(f"mc1_targets marks {len(right)} options as true, expected one")
    return tuple(str(text).strip() for text, _ in pairs), right[0]


def _position(record: Record, column: str, options: Sequence[str]) -> int:
    """The right option, named by its letter or by its place from 0."""
    value = record.text(column)
    places = [str(place) for place in range(len(options))]
    for names in (list(LETTERS[: len(options)]), places):
        if value in names:
            return names.index(value)
    raise record.wrong(f"{column} is {value!r:.20}, expected a letter or place of an option")


def _truth(record: Record, column: str) -> int:
    match record.value(column):
        case bool() | 0 | 1 as value:
            return int(value)
        case str() as value if value.lower() in {"true", "false"}:
            return int(value.lower() == "true")
        case other:
            raise record.wrong(f"{column} is {other!r:.20}, expected true or false")


def _key(name: str, record: Record) -> str:
    return f"{name}-{record.number:05}"
