"""Jobs that wait again: handed back, put aside, canceled, retried; and what is told of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.session import reading, transaction
from holdfast.errors import Conflict, LeaseLost, NotFound
from holdfast.job import DEADLINE_SECONDS, FINISHED, WAITING_SECONDS, EventKind, Status
from tests.holdfast.db.rows import (
    LOST,
    ago,
    change_job,
    claim,
    claim_or_none,
    events_of,
    job_of,
    lease_of,
    release,
    renew,
)

# --- back to the queue ----------------------------------------------------------------------


def test_what_is_released_is_nobodys_and_needs_a_hint(filled: Engine, job_id: str) -> None:
    assert release(filled, claim(filled))
    job = job_of(filled, job_id)
    assert (job.status, job.lease_owner, job.lease_expires_at) == ("queued", None, None)
    assert (job.hinted_at, job.not_before) == (None, None)


def test_a_release_says_whether_it_was_a_crash(filled: Engine, job_id: str) -> None:
    for crashed in (True, False):
        release(filled, claim(filled), crashed=crashed)
        assert events_of(filled, job_id)[-1] == ("requeued", {"crashed": crashed})


def test_a_delay_holds_the_next_attempt_back_and_the_next_release_forgets_it(
    filled: Engine, job_id: str
) -> None:
    release(filled, claim(filled), crashed=True, delay=3600.0)
    assert claim_or_none(filled) is None
    not_before = job_of(filled, job_id).not_before
    assert not_before is not None
    assert ago(-3500) < not_before < ago(-3700)
    change_job(filled, job_id, not_before=ago(1))
    release(filled, claim(filled), crashed=True)
    assert job_of(filled, job_id).not_before is None


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
def test_nobody_gives_back_what_is_not_theirs(
    filled: Engine, job_id: str, change: dict[str, Any]
) -> None:
    lease = claim(filled)
    change_job(filled, job_id, **change)
    assert not release(filled, lease, crashed=True)
    assert job_of(filled, job_id).crash_count == 0
    assert [kind for kind, _ in events_of(filled, job_id)] == ["queued", "claimed"]


def test_whoever_released_a_job_writes_no_more_even_if_nobody_took_it(
    filled: Engine, job_id: str
) -> None:
    lease = claim(filled)
    release(filled, lease)
    assert not renew(filled, lease)
    with pytest.raises(LeaseLost), transaction(filled) as session:
        jobs.fence(session, lease)


def test_crashes_are_counted_and_hand_overs_are_not(filled: Engine, job_id: str) -> None:
    for crashed in (True, False, True):
        release(filled, claim(filled), crashed=crashed)
    with reading(filled) as session:
        assert jobs.crashes(session, lease_of(job_id)) == 2
    assert job_of(filled, job_id).attempts == 2


# --- rest -----------------------------------------------------------------------------------


def test_a_job_at_rest_waits_without_a_worker_an_attempt_or_an_event(
    filled: Engine, job_id: str
) -> None:
    lease = claim(filled)
    with transaction(filled) as session:
        jobs.rest(session, lease, 3600.0)
    job = job_of(filled, job_id)
    assert (job.status, job.attempts, job.lease_owner) == ("queued", 0, None)
    assert job.lease_expires_at is None
    assert claim_or_none(filled) is None
    assert [kind for kind, _ in events_of(filled, job_id)] == ["queued", "claimed"]


def test_a_job_is_taken_up_before_its_rest_is_over(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    with transaction(filled) as session:
        jobs.rest(session, lease, 3600.0)
    with transaction(filled) as session:
        assert jobs.take_up(session, job_id)
    again = claim(filled)
    assert (again.job_id, again.epoch, job_of(filled, job_id).attempts) == (job_id, 2, 1)


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
def test_nobody_puts_aside_what_is_not_theirs(
    filled: Engine, job_id: str, change: dict[str, Any]
) -> None:
    lease = claim(filled)
    change_job(filled, job_id, **change)
    with pytest.raises(LeaseLost, match="nothing was written"), transaction(filled) as session:
        jobs.rest(session, lease, 3600.0)
    assert job_of(filled, job_id).not_before is None


def test_only_what_waits_is_taken_up(filled: Engine, job_id: str) -> None:
    moment = ago(-3600)
    for status in set(Status) - {Status.QUEUED}:
        change_job(filled, job_id, status=status.value, not_before=moment)
        with transaction(filled) as session:
            assert not jobs.take_up(session, job_id)
            assert not jobs.take_up(session, "eval_none")
    assert job_of(filled, job_id).not_before == moment


# --- cancel and retry -----------------------------------------------------------------------


def test_what_waits_is_canceled_at_once(filled: Engine, job_id: str) -> None:
    with transaction(filled) as session:
        assert jobs.request_cancel(session, job_id) is Status.CANCELED
    job = job_of(filled, job_id)
    assert job.status == "canceled"
    assert job.finished_at is not None
    assert job.finished_at == job.cancel_requested_at
    assert events_of(filled, job_id)[-1] == ("canceled", {})


def test_what_runs_is_only_asked_to_end_and_the_first_request_counts(
    filled: Engine, job_id: str
) -> None:
    claim(filled)
    moments = []
    for _ in range(2):
        with transaction(filled) as session:
            assert jobs.request_cancel(session, job_id) is Status.RUNNING
        moments.append(job_of(filled, job_id).cancel_requested_at)
    assert moments[0] is not None
    assert moments[0] == moments[1]
    assert job_of(filled, job_id).finished_at is None
    assert [kind for kind, _ in events_of(filled, job_id)] == ["queued", "claimed"]


def test_what_is_over_is_not_canceled(filled: Engine, job_id: str) -> None:
    for status in FINISHED:
        change_job(filled, job_id, status=status.value)
        with pytest.raises(Conflict, match=f"is {status.value} already"), transaction(filled) as s:
            jobs.request_cancel(s, job_id)
    assert job_of(filled, job_id).cancel_requested_at is None


@pytest.mark.parametrize("status", ["failed", "canceled", "timed_out"])
def test_an_end_without_a_result_may_be_tried_again(
    filled: Engine, job_id: str, status: str
) -> None:
    change_job(filled, job_id, status=status)
    with transaction(filled) as session:
        jobs.retry(session, job_id)
    assert claim(filled).job_id == job_id


@pytest.mark.parametrize("status", ["queued", "succeeded"])
def test_what_waits_or_has_a_result_is_not_tried_again(
    filled: Engine, job_id: str, status: str
) -> None:
    change_job(filled, job_id, status=status)
    with pytest.raises(Conflict, match=f"is {status}; only"), transaction(filled) as session:
        jobs.retry(session, job_id)
    assert events_of(filled, job_id) == [("queued", {})]


def test_a_retry_forgets_what_ended_the_job_and_keeps_the_epoch(
    filled: Engine, job_id: str
) -> None:
    spent = {"attempts": 3, "losses": 3, "crash_count": 2, "lease_epoch": 7, "error": "lost"}
    past = ago(9)
    moments = dict.fromkeys(("finished_at", "cancel_requested_at", "hinted_at"), past)
    change_job(filled, job_id, status="failed", not_before=ago(-3600), **spent, **moments)
    with transaction(filled) as session:
        jobs.must_end(session, job_id, past)
        jobs.retry(session, job_id)
    job = job_of(filled, job_id)
    assert (job.status, job.attempts, job.crash_count, job.lease_epoch) == ("queued", 0, 0, 7)
    assert {job.error, job.finished_at, job.cancel_requested_at, job.hinted_at} == {None}
    assert (job.not_before, job.losses, job.run_seconds) == (None, 0, DEADLINE_SECONDS)
    assert job.deadline_at - ago(0) == pytest.approx(
        timedelta(seconds=WAITING_SECONDS), abs=timedelta(minutes=1)
    )
    assert events_of(filled, job_id)[-1] == ("retried", {})


def test_a_worker_from_before_the_retry_cannot_write(filled: Engine, job_id: str) -> None:
    old = claim(filled)
    change_job(filled, job_id, status="timed_out")
    with transaction(filled) as session:
        jobs.retry(session, job_id)
    assert claim(filled).epoch == old.epoch + 1
    with pytest.raises(LeaseLost), transaction(filled) as session:
        jobs.finish(session, old, Status.SUCCEEDED)


def test_a_lease_of_a_future_epoch_is_none(filled: Engine, job_id: str) -> None:
    lease = replace(claim(filled), epoch=2)
    assert not renew(filled, lease)
    assert not release(filled, lease)


MOVES: list[Callable[[Session], object]] = [
    lambda session: jobs.request_cancel(session, "eval_none"),
    lambda session: jobs.retry(session, "eval_none"),
]


@pytest.mark.parametrize("move", MOVES, ids=["cancel", "retry"])
def test_what_is_not_there_is_neither_canceled_nor_retried(
    database: Engine, move: Callable[[Session], object]
) -> None:
    with pytest.raises(NotFound, match="no job eval_none"), transaction(database) as session:
        move(session)


def test_a_retried_job_counts_from_its_next_start(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, status="failed", started_at=ago(86_400), finished_at=ago(86_000))
    with transaction(filled) as session:
        jobs.retry(session, job_id)
    assert job_of(filled, job_id).started_at is None


# --- events ---------------------------------------------------------------------------------


def test_events_keep_the_order_in_which_they_came(filled: Engine, job_id: str) -> None:
    with transaction(filled) as session:
        for number in range(5):
            jobs.add_event(session, job_id, EventKind.PROGRESS, {"done": number})
    numbers = [document["done"] for kind, document in events_of(filled, job_id)[1:]]
    assert numbers == list(range(5))
