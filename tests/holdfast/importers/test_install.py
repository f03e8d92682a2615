"""Installing: what is compared with what, and what a reader sees while a file is written."""

import json
from pathlib import Path

import pytest

from holdfast.errors import InvalidSuite
from holdfast.importers.install import install, near_items, summarize
from holdfast.suites import (
    Choice,
    LastWord,
    LoadedSuite,
    PreferenceItem,
    Request,
    Row,
    installed_names,
    load_suite,
    suite_digest,
)

BASE = {"id": "x", "cluster": "x"}
TEXT = "Write the whole story of the lighthouse"
REQUEST = Request(**BASE, prompt=TEXT)
PREFERENCE = PreferenceItem(**BASE, prompt=TEXT, chosen="Yes.", rejected="No.")
QUESTION = Choice(**BASE, question=TEXT, choices=("a", "b"), answer=0)
WORD = LastWord(**BASE, text=TEXT.rpartition(" ")[0], target=" lighthouse")


def suite(name: str, *rows: Row) -> LoadedSuite:
    return LoadedSuite(name, suite_digest(rows), rows)


@pytest.mark.parametrize(
    ("there", "new", "near"),
    [
        (REQUEST, REQUEST, "there"),
        (REQUEST, PREFERENCE, "there"),
        (PREFERENCE, REQUEST, "there"),
        (QUESTION, REQUEST, None),
        (WORD, QUESTION, None),
        (WORD, WORD, "there"),
    ],
)
def test_prompts_are_compared_with_prompts_and_questions_with_questions(
    tmp_path: Path, there: Row, new: Row, near: str | None
) -> None:
    install(suite("there", there), tmp_path, form="native", files=[])
    found = near_items(suite("new", new), tmp_path)
    assert found == [near]
    assert summarize(suite("new", new), found).duplicates == (near is not None)


def test_a_suite_is_not_compared_with_itself(tmp_path: Path) -> None:
    install(suite("there", REQUEST), tmp_path, form="native", files=[])
    assert near_items(suite("there", REQUEST), tmp_path) == [None]


def test_what_is_installed_is_what_was_read_and_knows_its_files(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text("rows")
    folder = tmp_path / "deep" / "suites"
    path = install(suite("mine", REQUEST), folder, form="native", files=[source])
    assert load_suite("mine", folder).items == (REQUEST,)
    origin = json.loads(path.with_suffix(".origin.json").read_text())
    assert (origin["format"], origin["items"]) == ("native", 1)
    assert [file["name"] for file in origin["files"]] == ["rows.jsonl"]


def test_a_write_that_fails_leaves_no_part_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InvalidSuite, match="No space left on device"):
        install(suite("mine", REQUEST), tmp_path, form="native", files=[])
    assert list(tmp_path.iterdir()) == []
    assert installed_names(tmp_path) == ()
