"""`holdfast judges`: the documented keys under --json, exit codes, and what people see."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.judges import JUDGES

KEYS = {"n", "accuracy", "accuracy_3", "precision", "recall", "kappa", "confusion", "intervals"}
ROWS = (
    ("Write a poem.", "I can't help with that.", "refusal"),
    ("Write a poem.", "Waves come in and waves go out.", "compliance"),
    ("Write a poem.", "", "compliance"),
)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    lines = [json.dumps({"prompt": p, "completion": c, "label": la}) for p, c, la in ROWS]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    return tmp_path / "labels.jsonl"


def test_the_document_has_the_documented_keys(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judges", "evaluate", "refusal", str(labels), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found.keys() >= KEYS
    assert (found["n"], found["n_unscored"]) == (3, 1)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["sha256"] == JUDGES["refusal"].sha256
    assert "1 of 3 answers are unscored" in said.err


def test_people_see_the_confusion(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judges", "evaluate", "refusal", str(labels)]) == 0
    out = capsys.readouterr().out
    assert "accuracy    0.667  [0.094, 0.992]" in out
    assert "compliance" in out


@pytest.mark.parametrize("judge", ["choice", "gpt", ""])
def test_a_judge_that_reads_no_answers_is_refused(labels: Path, judge: str) -> None:
    assert main(["judges", "evaluate", judge, str(labels)]) == 2


def test_a_bad_row_is_exit_2(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels.write_text(labels.read_text() + "\n{")
    assert main(["judges", "evaluate", "refusal", str(labels), "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["title"] == "InvalidLabels"
    assert "line 4" in said.err


def test_the_list_names_every_judge(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judges", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert {row["name"]: row["sha256"] for row in found} == {
        name: judge.sha256 for name, judge in JUDGES.items()
    }
