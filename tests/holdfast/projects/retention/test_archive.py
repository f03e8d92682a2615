"""What a verdict refers to is in the archive, byte for byte, before its trials are removed."""

import hashlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import TrialRow
from holdfast.errors import NotFound
from holdfast.ids import new_id
from holdfast.projects.audit import all_events
from holdfast.projects.decided_anew import decide_again
from holdfast.projects.prune import prune
from holdfast.projects.retention.archive import write_archive
from holdfast.projects.retention.removed import Pruned
from holdfast.projects.tables import EarlierVerdict, WaiverRow
from holdfast.settings import Settings
from holdfast.verdict.document import Verdict
from service.artifacts import render_artifact
from tests.holdfast.db.rows import ON_POSTGRES, add_evaluation, add_findings, ago
from tests.holdfast.projects.retention.rows import SIDES, add_judged, count, end

NAMES = ("verdict.json", "evidence/baseline.jsonl", "evidence/candidate.jsonl")


def prune_trials(database: Engine, place: Settings) -> Pruned:
    return prune(database, place.model_copy(update={"keep_trials_days": 30}))


def artifact(database: Engine, evaluation_id: str, name: str) -> bytes:
    with reading(database) as session:
        return render_artifact(session, get_evaluation(session, evaluation_id), name)


def trials_of(database: Engine, evaluation_id: str) -> int:
    return count(database, TrialRow, TrialRow.evaluation_id == evaluation_id)


def test_the_archive_holds_what_the_service_gave_out(filled: Engine, place: Settings) -> None:
    evaluation = add_judged(filled, days=31, earlier=2)
    before = {name: artifact(filled, evaluation, name) for name in NAMES}
    assert prune_trials(filled, place).problems == ()
    folder = place.home / "archive" / evaluation
    assert {name: (folder / name).read_bytes() for name in NAMES} == before
    verdict = Verdict.model_validate_json((folder / "verdict.json").read_bytes())
    for side, digest in verdict.evidence_digests.items():
        content = (folder / f"evidence/{side}.jsonl").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert sorted(path.name for path in (folder / "verdicts").iterdir()) == ["1.json", "2.json"]
    assert count(filled, EarlierVerdict) == 2
    assert artifact(filled, evaluation, "verdict.json") == before["verdict.json"]


def test_the_archive_is_this_users_alone(filled: Engine, place: Settings) -> None:
    add_judged(filled, days=31, earlier=1)
    before = os.umask(0)
    try:
        prune_trials(filled, place)
    finally:
        os.umask(before)
    paths = [place.home / "archive", *(place.home / "archive").rglob("*")]
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in paths}
    assert (len(paths), modes) == (8, {True: 0o700, False: 0o600})


@pytest.mark.parametrize("name", ["evidence/candidate.jsonl", "evidence/anchor.jsonl", "report.md"])
def test_afterwards_evidence_is_said_to_be_archived(
    filled: Engine, place: Settings, name: str
) -> None:
    evaluation = add_judged(filled, days=31)
    prune_trials(filled, place)
    with pytest.raises(NotFound, match=f"^the evidence of {evaluation} was archived: .*database$"):
        artifact(filled, evaluation, name)
    assert b"fail" in artifact(filled, evaluation, "report.txt").lower()


@ON_POSTGRES
def test_evidence_that_is_archived_while_it_is_read_is_no_evidence(
    filled: Engine, place: Settings
) -> None:
    """A session on SQLite reads on as it began; on PostgreSQL the trials are missing at once."""
    evaluation = add_judged(filled, days=31)
    with reading(filled) as session:
        row = get_evaluation(session, evaluation)
        prune_trials(filled, place)
        with pytest.raises(NotFound, match="was archived"):
            render_artifact(session, row, "evidence/candidate.jsonl")


def test_it_is_on_record_with_the_digest_of_every_file(filled: Engine, place: Settings) -> None:
    evaluation = add_judged(filled, days=31)
    prune_trials(filled, place)
    with reading(filled) as session:
        (event,) = all_events(session, "p")
    assert (event["action"], event["target"]) == ("trials.prune", evaluation)
    assert event["after"]["trials"] == 40
    folder = place.home / "archive" / evaluation
    assert event["after"]["archive"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES
    }


def test_rows_that_are_not_what_was_decided_on_stay(filled: Engine, place: Settings) -> None:
    changed, sound = add_judged(filled, days=31), add_judged(filled, days=31)
    first = (TrialRow.evaluation_id == changed, TrialRow.item == SIDES["candidate"][0].item)
    with transaction(filled) as session:
        session.execute(update(TrialRow).where(*first).values(cluster="another"))
    (problem,) = prune_trials(filled, place).problems
    assert problem.startswith(f"{changed} keeps its trials: evidence/")
    assert (trials_of(filled, changed), trials_of(filled, sound)) == (40, 0)
    assert not (place.home / "archive" / changed).exists()


def test_a_row_that_is_no_evidence_stops_nothing_else(filled: Engine, place: Settings) -> None:
    broken, sound = add_judged(filled, days=31), add_judged(filled, days=31)
    with transaction(filled) as session:
        where = TrialRow.evaluation_id == broken
        session.execute(update(TrialRow).where(where).values(outcome="none of ours"))
    (problem,) = prune_trials(filled, place).problems
    assert broken in problem
    assert (trials_of(filled, broken), trials_of(filled, sound)) == (40, 0)


def test_an_archive_that_cannot_be_written_loses_nothing(filled: Engine, place: Settings) -> None:
    evaluation = add_judged(filled, days=31)
    (place.home / "archive").write_text("a file where the folder should be")
    (problem,) = prune_trials(filled, place).problems
    assert "archive" in problem
    assert trials_of(filled, evaluation) == 40


def test_a_run_that_ends_before_its_commit_loses_nothing_and_is_repeated(
    filled: Engine, place: Settings
) -> None:
    evaluation = add_judged(filled, days=31)
    with reading(filled) as session:
        write_archive(session, place.home, get_evaluation(session, evaluation))
    assert trials_of(filled, evaluation) == 40
    artifact(filled, evaluation, "evidence/candidate.jsonl")
    written = {name: (place.home / "archive" / evaluation / name).read_bytes() for name in NAMES}
    prune_trials(filled, place)
    assert trials_of(filled, evaluation) == 0
    assert all((place.home / "archive" / evaluation / n).read_bytes() == written[n] for n in NAMES)


KILLED = """
import os, signal, sys
from sqlalchemy import event
from holdfast.db.session import open_database
from holdfast.projects.prune import prune
from holdfast.settings import Settings

settings = Settings(
    home=sys.argv[1], database_url=sys.argv[2], broker_url="redis://", keep_trials_days=30
)
database = open_database(settings.database_url)

@event.listens_for(database, "before_cursor_execute")
def end(_connection, _cursor, statement, *_rest):
    if statement.startswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

prune(database, settings)
"""


@pytest.mark.parametrize(
    "before", ["DELETE FROM trials", "UPDATE evaluations", "INSERT INTO audit_events"]
)
def test_a_run_that_is_killed_at_any_statement_leaves_the_evidence_in_the_database(
    filled: Engine, place: Settings, database_url: str, before: str
) -> None:
    evaluation = add_judged(filled, days=31)
    evidence = artifact(filled, evaluation, "evidence/candidate.jsonl")
    words = [sys.executable, "-c", KILLED, str(place.home), database_url, before]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert artifact(filled, evaluation, "evidence/candidate.jsonl") == evidence
    assert prune_trials(filled, place).problems == ()
    file = place.home / "archive" / evaluation / "evidence/candidate.jsonl"
    assert (file.read_bytes(), trials_of(filled, evaluation)) == (evidence, 0)


def test_an_evaluation_without_a_verdict_has_nothing_to_archive(
    filled: Engine, place: Settings
) -> None:
    evaluation = add_evaluation(filled)
    add_findings(filled, evaluation, "candidate", SIDES["candidate"])
    end(filled, evaluation, days=31, status="failed")
    assert prune_trials(filled, place).problems == ()
    assert trials_of(filled, evaluation) == 0
    with pytest.raises(NotFound, match="no complete evidence of its candidate"):
        artifact(filled, evaluation, "evidence/candidate.jsonl")


def add_waiver(database: Engine, *, ends_in: timedelta) -> None:
    with transaction(database) as session:
        session.add(
            WaiverRow(
                id=new_id("wvr"),
                project="p",
                check_id="harm.direct",
                digest="sha256:c",
                reason="r",
                owner="ann",
                expires_at=ago(-ends_in.total_seconds()),
                created_at=ago(0),
                revoked_at=None,
            )
        )


@pytest.mark.parametrize(("days", "trials"), [(1, 40), (-1, 0)])
def test_trials_stay_while_a_waiver_that_may_be_revoked_stands_on_them(
    filled: Engine, place: Settings, days: int, trials: int
) -> None:
    evaluation = add_judged(filled, days=31)
    add_waiver(filled, ends_in=timedelta(days=days))
    prune_trials(filled, place)
    assert trials_of(filled, evaluation) == trials


def test_trials_stay_while_a_verdict_stands_on_a_waiver_of_its_policys_text(
    filled: Engine, place: Settings
) -> None:
    evaluation = add_judged(filled, days=31)
    trials = trials_of(filled, evaluation)
    for ends_in in (timedelta(days=1), timedelta(days=-1)):  # over, and not decided anew yet
        with transaction(filled) as session:
            get_evaluation(session, evaluation).waived_until = datetime.now(UTC) + ends_in
        prune_trials(filled, place)
        assert trials_of(filled, evaluation) == trials


def test_a_waiver_that_comes_later_leaves_an_archived_verdict_as_it_is(
    filled: Engine, place: Settings
) -> None:
    evaluation = add_judged(filled, days=31)
    verdict = artifact(filled, evaluation, "verdict.json")
    prune_trials(filled, place)
    add_waiver(filled, ends_in=timedelta(days=1))
    with transaction(filled) as session:
        assert decide_again(session, "p", "sha256:c") == []
    assert artifact(filled, evaluation, "verdict.json") == verdict
