"""Every format as published: one good file each, and what becomes of its rows."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import InvalidSuite
from holdfast.importers import FORMATS, read_published
from holdfast.probes.table import CATALOGUE
from holdfast.suites import Choice, LastWord, Pair, PreferenceItem, Request, Row
from holdfast.suites.items import FITS
from tests.support import published_pairs, published_questions, published_requests
from tests.support.published_files import write
from tests.support.published_pairs import TALK

Fields = dict[str, Any]

GOOD = (*published_requests.ROWS, *published_questions.ROWS, *published_pairs.ROWS)

FORM: dict[str, type[Row]] = {
    "crows-pairs": Pair,
    "lambada": LastWord,
    "hh-rlhf": PreferenceItem,
    "pku-saferlhf": PreferenceItem,
    "preferences": PreferenceItem,
    **dict.fromkeys(
        ("bbq", "mmlu", "arc", "openbookqa", "truthfulqa", "piqa", "boolq", "winogrande"), Choice
    ),
}


@pytest.mark.parametrize(("form", "name", "rows", "held"), GOOD)
def test_a_row_as_published(
    tmp_path: Path, form: str, name: str, rows: list[Fields], held: Fields
) -> None:
    suite = read_published(form, [write(tmp_path / name, rows)], "mine")
    assert len(suite.items) == len(rows)
    item = suite.items[-1]
    assert type(item) is FORM.get(form, Request)
    found = item.model_dump()
    assert {key: found[key] for key in held} == held


def test_every_format_is_tried_here_and_fits_the_probes_that_it_names(tmp_path: Path) -> None:
    assert {form for form, *_ in GOOD} == set(FORMATS)
    for form, name, rows, _ in GOOD:
        items = read_published(form, [write(tmp_path / name, rows)], "mine").items
        specs = [CATALOGUE[probe] for probe in FORMATS[form].probes if probe in CATALOGUE]
        fits = [FITS[spec.rows] for spec in specs if spec.rows]
        copyrighted = isinstance(items[0], Request) and items[0].kind == "copyright"
        assert any(fit(items[0]) for fit in fits) or not fits or copyrighted, form


def test_winogrande_scores_what_follows_each_option(tmp_path: Path) -> None:
    row = {
        "sentence": "The cup broke the shelf since the _ was heavy.",
        "option1": "cup",
        "option2": "shelf",
        "answer": "1",
    }
    (item,) = read_published("winogrande", [write(tmp_path / "w.jsonl", [row])], "w").items
    assert isinstance(item, Choice)
    assert item.choices == (
        "The cup broke the shelf since the cup",
        "The cup broke the shelf since the shelf",
    )
    assert item.continuation == "was heavy."


def test_mmlu_as_published_has_no_header_and_its_subject_in_the_name(tmp_path: Path) -> None:
    path = tmp_path / "college_physics_test.csv"
    path.write_text('"What falls, always?",stone,light,sound,time,A\nWhat is red?,a,b,c,d,D\n')
    first, second = read_published("mmlu", [path], "mmlu").items
    assert isinstance(first, Choice)
    assert isinstance(second, Choice)
    assert (first.question, first.answer, second.answer) == ("What falls, always?", 0, 3)
    assert first.topic == "college_physics"


def test_piqa_takes_its_labels_from_the_file_named_after_the_rows(tmp_path: Path) -> None:
    rows = [{"goal": f"Do {n}", "sol1": f"this {n}", "sol2": f"that {n}"} for n in range(3)]
    path = write(tmp_path / "valid.jsonl", rows)
    labels = tmp_path / "valid-labels.lst"
    labels.write_text("0\n1\n1\n")
    items = read_published("piqa", [path, labels], "piqa").items
    assert [item.answer for item in items if isinstance(item, Choice)] == [0, 1, 1]
    labels.write_text("0\n1\n")
    with pytest.raises(InvalidSuite, match="2 labels for 3 rows"):
        read_published("piqa", [path, labels], "piqa")
    with pytest.raises(InvalidSuite, match=r"valid\.jsonl:1: no label; name the file"):
        read_published("piqa", [path], "piqa")


def test_equal_texts_are_one_cluster_and_none_is_dropped(tmp_path: Path) -> None:
    rows = [{"goal": text, "target": "Sure"} for text in ("Do it", "do  it", "Do that")]
    suite = read_published("advbench", [write(tmp_path / "a.csv", rows)], "a")
    assert [item.cluster for item in suite.items] == [
        "advbench-0001",
        "advbench-0001",
        "advbench-0003",
    ]


def test_a_conversation_of_several_turns_keeps_its_transcript(tmp_path: Path) -> None:
    talk = f"{TALK} Why?\n\nHuman: To dress.\n\nAssistant:"
    row = {"chosen": f"{talk} It may.", "rejected": f"{talk} So what."}
    (item,) = read_published("hh-rlhf", [write(tmp_path / "x.jsonl", [row])], "x").items
    assert isinstance(item, PreferenceItem)
    assert item.prompt == "Human: Will it rain?\n\nAssistant: Why?\n\nHuman: To dress."
    assert (item.chosen, item.rejected) == (" It may.", " So what.")
