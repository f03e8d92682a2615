"""`holdfast prune` on a migrated data folder: what it prints and how it exits."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from holdfast.cli import main
from holdfast.db.session import open_database, reading
from holdfast.db.tables import AnswerRow
from holdfast.projects.audit import all_events
from tests.holdfast.db.rows import add_checkpoint, add_policy
from tests.holdfast.projects.retention.rows import add_answers, add_judged, count


@pytest.fixture
def database(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Engine:
    """The database of a data folder that the command finds, with answers that are old."""
    monkeypatch.setenv("HOLDFAST_HOME", str(home))
    assert main(["migrate"]) == 0
    capsys.readouterr()
    database = open_database(f"sqlite:///{home}/holdfast.db")
    add_checkpoint(database, "c")
    add_policy(database, "pol")
    add_answers(database, "sha256:c", "abc", days=31)
    return database


def prune(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["prune", *words, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_without_ages_it_says_that_everything_is_kept(
    database: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "answers: kept for ever (HOLDFAST_KEEP_ANSWERS_DAYS is not set)"
    assert len(lines) == 6
    assert set(prune(capsys)["removed"].values()) == {None}


def test_a_dry_run_says_what_the_run_then_removes(
    database: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_KEEP_ANSWERS_DAYS", "30")
    counted = prune(capsys, "--dry-run")
    assert (counted["dry_run"], count(database, AnswerRow)) == (True, 3)
    done = prune(capsys)
    assert done["removed"] == counted["removed"]
    assert done["removed"]["answers"]["rows"] == 3
    assert (done["dry_run"], done["problems"], count(database, AnswerRow)) == (False, [], 0)


def test_what_could_not_be_removed_is_exit_4(
    database: Engine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
) -> None:
    monkeypatch.setenv("HOLDFAST_KEEP_TRIALS_DAYS", "30")
    evaluation = add_judged(database, days=31)
    (home / "archive").write_text("in the way")
    assert main(["prune"]) == 4
    said = capsys.readouterr()
    assert said.out.splitlines()[2] == "trials: 0 rows, 0 files, 0 B"
    assert f"WARNING: {evaluation} keeps its trials" in said.err


def test_a_project_is_deleted_with_everything(
    database: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    removed = prune(capsys, "--project", "p", "--everything")["removed"]
    assert (removed["answers"]["rows"], removed["checkpoints"]["rows"]) == (3, 1)
    with reading(database) as session:
        assert [event["action"] for event in all_events(session, "p")] == ["project.delete"]
    assert main(["prune", "--project", "p", "--everything"]) == 2


@pytest.mark.parametrize("words", [["--project", "p"], ["--everything"]])
def test_half_of_the_words_that_delete_a_project_delete_nothing(
    database: Engine, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["prune", *words]) == 2
    assert "go together" in capsys.readouterr().err
    assert count(database, AnswerRow) == 3


def test_a_database_of_another_revision_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(home))
    assert main(["prune"]) == 4


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["worker"],
        ["sweep", "--once"],
        ["migrate"],
        ["prune"],
        ["keys", "create", "--name", "ci", "--role", "admin", "--database"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_works_on_a_database_that_may_have_come_with_a_repository(
    database: Engine, home: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    home.chmod(0o755)
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "is 0755, expected 0700. If a repository brought it, remove it" in said
