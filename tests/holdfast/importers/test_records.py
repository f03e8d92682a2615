"""Records: whatever was written comes back, in order, each with the line that it begins on."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidSuite
from holdfast.importers.records import Record, read_records
from tests.support.published_files import write

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20
).filter(str.strip)
ROWS = st.lists(st.fixed_dictionaries({"a": TEXT, "b": TEXT}), min_size=1, max_size=6)


@settings(max_examples=60)
@given(ROWS, st.sampled_from(["x.csv", "x.jsonl", "x.json"]))
def test_what_was_written_comes_back(rows: list[dict[str, str]], name: str) -> None:
    rows = [{key: f"<{n}>{text}" for key, text in row.items()} for n, row in enumerate(rows)]
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / name, rows)
        records = read_records([path, path])
        lines = path.read_bytes().decode().split("\n")
    assert [record.fields for record in records] == [*rows, *rows]
    assert [record.number for record in records] == list(range(1, 2 * len(rows) + 1))
    for n, record in enumerate(records[: len(rows)]):
        line = lines[int(record.place.rpartition(":")[2]) - 1]
        assert line.strip() == "{" if name == "x.json" else f"<{n}>" in line


@pytest.mark.parametrize(
    ("column", "found"),
    [("Best Answer", "best_answer"), (" goal ", "goal"), ("answerKey", "answerkey"), ("", "")],
)
def test_columns_are_compared_without_case_and_spaces(
    tmp_path: Path, column: str, found: str
) -> None:
    for name in ("x.csv", "x.jsonl"):
        (record,) = read_records([write(tmp_path / name, [{column: "x", "other": "y"}])])
        assert record.fields[found] == "x"


def test_a_number_reads_as_text_and_a_truth_does_not() -> None:
    record = Record("x:1", "x", 1, {"label": 3, "answer": True, "none": None, "blank": " "})
    assert record.text("label") == "3"
    assert record.text("none", "label") == "3"
    assert (record.maybe("none"), record.maybe("blank"), record.maybe("absent")) == ("", "", "")
    for column, said in (("answer", "is a bool"), ("blank", "is empty"), ("none", "no none")):
        with pytest.raises(InvalidSuite, match=f"x:1: .*{said}"):
            record.text(column)


def test_lines_of_json_may_hold_what_splits_lines_elsewhere(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"a": text}, ensure_ascii=False) + "\n\n", encoding="utf-8")
    (record,) = read_records([path])
    assert record.fields == {"a": text}
