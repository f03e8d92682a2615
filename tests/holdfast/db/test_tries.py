"""A ladder's tries: which jobs they had, how long those took, and what is still to be done."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from holdfast.db import tries
from holdfast.db.documents import Account
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import EvaluationRow, JobRow, RemediationRow
from holdfast.db.tries import Attempt
from holdfast.errors import NotFound
from holdfast.job import FINISHED, Status
from tests.holdfast.db.rows import add_evaluation, add_remediation, change_job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(seconds: float | None = None, status: Status = Status.SUCCEEDED) -> JobRow:
    over = None if seconds is None else NOON + timedelta(seconds=seconds)
    return JobRow(id="j", status=status.value, started_at=NOON, finished_at=over)


def attempt(*jobs: JobRow) -> Attempt:
    return Attempt(RemediationRow(id="rem_1"), None, None, jobs)


def attempts(database: Engine, remediation_id: str) -> list[Attempt]:
    with reading(database) as session:
        return tries.attempts(session, remediation_id)


def unfinished(database: Engine, remediation_id: str) -> list[str]:
    with reading(database) as session:
        return tries.unfinished_work(session, remediation_id)


# --- one attempt ----------------------------------------------------------------------------


def test_a_job_takes_no_seconds_until_it_is_over() -> None:
    assert tries.seconds_of(job(90.25)) == 90.25
    assert tries.seconds_of(job(None)) == 0.0
    canceled = JobRow(id="j", started_at=None, finished_at=NOON)
    assert tries.seconds_of(canceled) == 0.0


def test_an_attempt_takes_what_its_jobs_take_to_the_millisecond() -> None:
    assert attempt(job(0.1), job(0.2), job(None)).seconds == 0.3
    assert attempt().seconds == 0.0


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELED, Status.TIMED_OUT])
def test_an_attempt_failed_with_the_first_job_that_ended_without_a_result(status: Status) -> None:
    bad, worse = job(1.0, status), job(2.0, Status.FAILED)
    assert attempt(job(1.0), bad, worse).failed_job is bad


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED])
def test_an_attempt_that_is_under_way_or_went_well_did_not_fail(status: Status) -> None:
    assert attempt(job(1.0), job(None, status)).failed_job is None


def test_tokens_are_those_of_both_evaluations() -> None:
    screen, confirm = (EvaluationRow(cost=Account(tokens=count)) for count in (30, 12))
    repair = RemediationRow(id="rem_1")
    assert Attempt(repair, screen, confirm, ()).tokens == 42
    assert Attempt(repair, None, confirm, ()).tokens == 12
    assert Attempt(repair, EvaluationRow(cost=Account()), None, ()).tokens == 0


# --- attempts, from their rows --------------------------------------------------------------


def test_the_tries_of_a_ladder_are_its_attempts(filled: Engine, job_id: str) -> None:
    ladder = add_remediation(filled, job_id, recipe="auto")
    rungs = sorted(add_remediation(filled, job_id, parent_id=ladder) for _ in range(3))
    assert [rung.repair.id for rung in attempts(filled, ladder)] == rungs


def test_a_repair_without_tries_is_its_only_attempt(filled: Engine, job_id: str) -> None:
    repair = add_remediation(filled, job_id)
    (only,) = attempts(filled, repair)
    assert (only.repair.id, only.screen, only.confirm) == (repair, None, None)
    assert [job.id for job in only.jobs] == [repair]


def test_nobody_attempted_what_is_not_there(database: Engine) -> None:
    with pytest.raises(NotFound, match="no remediation rem_none"):
        attempts(database, "rem_none")


def test_the_jobs_of_an_attempt_are_in_the_order_of_the_work(filled: Engine, job_id: str) -> None:
    repair = add_remediation(filled, job_id)
    confirm = add_evaluation(filled, remediation_id=repair, split="confirm")
    screen = add_evaluation(filled, remediation_id=repair, split="screen")
    (only,) = attempts(filled, repair)
    assert [job.id for job in only.jobs] == [repair, screen, confirm]
    assert only.screen is not None
    assert only.confirm is not None
    assert (only.screen.id, only.confirm.id) == (screen, confirm)


def test_an_attempt_reads_its_jobs_as_they_are(filled: Engine, job_id: str) -> None:
    repair = add_remediation(filled, job_id)
    screen = add_evaluation(filled, remediation_id=repair)
    change_job(
        filled, repair, status="succeeded", started_at=NOON, finished_at=NOON + timedelta(minutes=1)
    )
    change_job(
        filled, screen, status="failed", started_at=NOON, finished_at=NOON + timedelta(seconds=2.5)
    )
    with transaction(filled) as session:
        get_evaluation(session, screen).cost = Account(tokens=99)
    (only,) = attempts(filled, repair)
    assert (only.seconds, only.tokens) == (62.5, 99)
    assert only.failed_job is not None
    assert only.failed_job.id == screen


# --- what is still to be done ---------------------------------------------------------------


def test_what_waits_or_runs_of_all_tries_is_unfinished(filled: Engine, job_id: str) -> None:
    ladder = add_remediation(filled, job_id, recipe="auto")
    first, second = sorted(add_remediation(filled, job_id, parent_id=ladder) for _ in range(2))
    screen = add_evaluation(filled, remediation_id=first)
    assert unfinished(filled, ladder) == [first, screen, second]
    change_job(filled, first, status="succeeded")
    change_job(filled, screen, status="running")
    assert unfinished(filled, ladder) == [screen, second]


def test_a_ladder_does_not_wait_for_itself(filled: Engine, job_id: str) -> None:
    ladder = add_remediation(filled, job_id, recipe="auto")
    assert unfinished(filled, ladder) == []
    other = add_remediation(filled, job_id, recipe="auto")
    add_remediation(filled, job_id, parent_id=other)
    assert unfinished(filled, ladder) == []


def test_every_end_is_one(filled: Engine, job_id: str) -> None:
    ladder = add_remediation(filled, job_id, recipe="auto")
    rung = add_remediation(filled, job_id, parent_id=ladder)
    for status in Status:
        change_job(filled, rung, status=status.value)
        assert unfinished(filled, ladder) == ([] if status in FINISHED else [rung])
