"""Public suites from their own published files, by the field's scoring conventions.

`FORMATS` is the whole list. Every row of every file becomes an item, or the import stops with the
file and the line: nothing is dropped, so a count can be held against the paper's. Nothing is
downloaded either: who imports a set has its files, and has read its licence.

Equal texts are one cluster, since asking the same thing twice tells nothing new.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from holdfast.errors import InvalidSuite, first_problem
from holdfast.importers import answers, groups, native, preferences, questions, requests
from holdfast.importers.records import Record, read_records
from holdfast.suites import BUILT_IN, SUITE_NAME, LoadedSuite, Row, suite_digest
from holdfast.suites.duplicates import text_of
from holdfast.suites.items import ROW_TYPES


@dataclass(frozen=True, slots=True)
class Format:
    """How one published set is read.

    `columns` are the sets of columns that it comes with, of which a row has to have one whole;
    `header` names those of a CSV file that is published without; `probes` can ask it.
    """

    read: Callable[[Record], Row]
    columns: tuple[tuple[str, ...], ...]
    licence: str
    probes: tuple[str, ...] = ()
    header: tuple[str, ...] | None = None


HARM = ("harm.direct",)
BENIGN = ("refusal.benign",)
CHOICE = ("cap.knowledge",)
GOLD = ("query", "choices", "gold")  # the form that one mirror gives every set of choices

FORMATS: dict[str, Format] = {
    "advbench": Format(requests.advbench, (("goal", "target"),), "MIT", HARM),
    "harmbench": Format(
        requests.harmbench,
        (("behavior", "functionalcategory", "contextstring", "behaviorid"),),
        "MIT",
        HARM,
    ),
    "jailbreakbench": Format(
        requests.jailbreakbench, (("goal", "behavior", "category"),), "MIT", (*HARM, *BENIGN)
    ),
    "strongreject": Format(requests.strongreject, (("category", "forbidden_prompt"),), "MIT", HARM),
    "xstest": Format(requests.xstest, (("prompt", "type"),), "CC-BY-4.0", (*HARM, *BENIGN)),
    "do-not-answer": Format(
        requests.do_not_answer, (("risk_area", "question"),), "Apache-2.0", HARM
    ),
    "simplesafetytests": Format(
        requests.simplesafetytests,
        (("harm_area", "prompts_final"), ("harm_area", "prompt")),
        "CC-BY-4.0",
        HARM,
    ),
    "bbq": Format(
        groups.bbq,
        (("example_id", "question_polarity", "context_condition", "answer_info", "label"),),
        "CC-BY-4.0",
        ("bias.groups",),
    ),
    "crows-pairs": Format(
        groups.crows_pairs,
        (("sent_more", "sent_less", "bias_type"),),
        "CC-BY-SA-4.0",
        ("bias.pairs",),
    ),
    "gsm8k": Format(answers.gsm8k, (("question", "answer"),), "MIT", ("cap.arithmetic",)),
    "lambada": Format(
        answers.lambada,
        (("context", "continuation"), ("text",)),
        "CC-BY-4.0",
        ("cap.last_word",),
    ),
    "mmlu": Format(
        questions.mmlu,
        (("question", "choices", "answer"), questions.MMLU_HEADER),
        "MIT",
        CHOICE,
        header=questions.MMLU_HEADER,
    ),
    "arc": Format(
        questions.arc,
        (("question", "answerkey"), ("question", "choices", "answer"), GOLD),
        "CC-BY-SA-4.0",
        CHOICE,
    ),
    "openbookqa": Format(
        questions.openbookqa,
        (
            ("question", "answerkey"),
            ("question_stem", "choices", "answerkey"),
            ("question", "choices", "answer"),
            GOLD,
        ),
        "Apache-2.0",
        CHOICE,
    ),
    "truthfulqa": Format(
        questions.truthfulqa,
        (("question", "mc1_targets"), ("question", "best_answer", "incorrect_answers")),
        "Apache-2.0",
        CHOICE,
    ),
    "piqa": Format(questions.piqa, (("goal", "sol1", "sol2"), GOLD), "AFL-3.0", CHOICE),
    "boolq": Format(
        questions.boolq,
        (
            ("question", "passage", "answer"),
            ("question", "passage", "label"),
            GOLD,
        ),
        "CC-BY-SA-3.0",
        CHOICE,
    ),
    "winogrande": Format(
        questions.winogrande,
        (
            ("sentence", "option1", "option2", "answer"),
            ("context_options", "continuation", "gold"),
        ),
        "CC-BY-4.0",
        CHOICE,
    ),
    "hh-rlhf": Format(preferences.hh_rlhf, (("chosen", "rejected"),), "MIT"),
    "pku-saferlhf": Format(
        preferences.pku_saferlhf,
        (("prompt", "response_0", "response_1", "safer_response_id"),),
        "CC-BY-NC-4.0",
    ),
    "preferences": Format(
        preferences.preferences,
        (("prompt", "chosen", "rejected"), ("conversations", "chosen", "rejected")),
        "that of your file",
    ),
    "alpaca": Format(
        requests.alpaca,
        (("instruction", "input"), ("instruction", "instances"), ("instruction", "output")),
        "CC-BY-NC-4.0 (Stanford's file; the seed tasks are Apache-2.0)",
        BENIGN,
    ),
    "native": Format(native.native, native.COLUMNS, "that of your file"),
}


def read_published(form: str, files: Sequence[Path], name: str) -> LoadedSuite:
    """The suite `name` out of published files; raises InvalidSuite with file and line."""
    if name in BUILT_IN:
        raise InvalidSuite(f"{name} is a built-in suite, choose another name")
    if not SUITE_NAME.fullmatch(name):
        raise InvalidSuite(
            f"{name!r} cannot be a suite's name, expected at most 40 of a-z 0-9 . _ -"
        )
    format_ = format_named(form)
    records = read_records(files, format_.header)
    items: list[Row] = []
    places: dict[str, str] = {}
    for record in records:
        _match_columns(form, format_, record)
        item = _item(format_, record)
        if item.id in places:
            raise record.wrong(f"id {item.id!r} stands already in {places[item.id]}")
        if items and type(item) is not type(items[0]):
            raise record.wrong(f"a {ROW_TYPES[type(item)]} among {ROW_TYPES[type(items[0])]}s")
        places[item.id] = record.place
        items.append(item)
    if not items:
        raise InvalidSuite("no file holds a row")
    clustered = _cluster_equal_texts(items)
    return LoadedSuite(name, suite_digest(clustered), clustered)


def format_named(form: str) -> Format:
    """A format by its name; raises InvalidSuite for one that is not known."""
    if form not in FORMATS:
        raise InvalidSuite(f"unknown format {form!r}, expected one of {', '.join(FORMATS)}")
    return FORMATS[form]


def _match_columns(form: str, format_: Format, record: Record) -> None:
    if any(record.fields.keys() >= set(columns) for columns in format_.columns):
        return
    expected = " or ".join(", ".join(columns) for columns in format_.columns)
    column_names = ", ".join(column or "(no name)" for column in record.fields) or "none"
    others = [
        other
        for other, candidate in FORMATS.items()
        if other not in {form, "native"}
        and any(record.fields.keys() >= set(columns) for columns in candidate.columns)
    ]
    hint = f"; these are columns of {' or '.join(others)}" if others else ""
    raise record.wrong(f"found the columns {column_names}, expected {expected} ({form}){hint}")


def _item(format_: Format, record: Record) -> Row:
    try:
        return format_.read(record)
    except ValidationError as error:
        raise record.wrong(first_problem(error, "the row")) from error


def _cluster_equal_texts(items: Sequence[Row]) -> tuple[Row, ...]:
    """Items that no convention clusters share one where their texts are equal."""
    cluster_of_text: dict[str, str] = {}
    return tuple(
        item
        if item.cluster != item.id
        else item.model_copy(update={"cluster": cluster_of_text.setdefault(_plain(item), item.id)})
        for item in items
    )


def _plain(item: Row) -> str:
    return " ".join(text_of(item).lower().split())
