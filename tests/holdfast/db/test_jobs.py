"""A job's way from its claim to its end: who may take it, keep it, write its results, end it."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError

from holdfast.db import jobs
from holdfast.db.session import reading, transaction
from holdfast.db.tables import EventRow, JobRow
from holdfast.errors import LeaseLost
from holdfast.job import FINISHED, LEASE_SECONDS, JobKind, Status
from tests.holdfast.db.rows import (
    LOST,
    ON_POSTGRES,
    add_evaluation,
    add_remediation,
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

# --- the clock ------------------------------------------------------------------------------


def test_the_clock_is_in_utc_and_goes_on_within_a_transaction(database: Engine) -> None:
    """PostgreSQL's `now()` would stand still, and with it a lease that is being renewed."""
    with transaction(database) as session:
        moments = [jobs.now(session) for _ in range(50)]
    assert len(set(moments)) > 1
    assert moments == sorted(moments)
    assert {moment.tzinfo for moment in moments} == {UTC}


# --- claiming -------------------------------------------------------------------------------


def test_an_empty_queue_gives_nothing_and_writes_nothing(filled: Engine) -> None:
    assert claim_or_none(filled) is None
    with reading(filled) as session:
        assert session.scalar(select(func.count()).select_from(EventRow)) == 0


def test_a_lease_says_whose_it_is_and_for_how_long(filled: Engine, job_id: str) -> None:
    lease, job = claim(filled, owner="host-1", seconds=90.0), job_of(filled, job_id)
    assert lease == jobs.Lease(
        job_id, JobKind.EVALUATION, "host-1", 1, job.deadline_at, seconds=90.0
    )
    assert (job.status, job.lease_owner, job.attempts) == ("running", "host-1", 1)
    assert job.started_at is not None
    assert job.lease_expires_at == job.started_at + timedelta(seconds=90)


def test_a_lease_lasts_as_long_as_the_settings_say_by_default(filled: Engine, job_id: str) -> None:
    assert claim(filled).seconds == LEASE_SECONDS
    job = job_of(filled, job_id)
    assert job.started_at is not None
    assert job.lease_expires_at == job.started_at + timedelta(seconds=LEASE_SECONDS)


def test_a_claim_is_announced_with_its_worker_and_attempt(filled: Engine, job_id: str) -> None:
    release(filled, claim(filled, owner="a"), crashed=True)
    claim(filled, owner="b")
    claims = [document for kind, document in events_of(filled, job_id) if kind == "claimed"]
    assert claims == [{"attempt": 1, "worker": "a"}, {"attempt": 2, "worker": "b"}]


def test_a_repair_is_claimed_as_one(filled: Engine, job_id: str) -> None:
    claim(filled)
    repair = add_remediation(filled, job_id)
    lease = claim(filled)
    assert (lease.job_id, lease.kind) == (repair, JobKind.REMEDIATION)


def test_queues_do_not_meet(filled: Engine) -> None:
    gpu = add_evaluation(filled, queue="gpu", priority=9)
    cpu = add_evaluation(filled, queue="cpu")
    assert claim(filled, queue="cpu").job_id == cpu
    assert claim_or_none(filled, "cpu") is None
    assert claim(filled, queue="gpu").job_id == gpu


def test_projects_share_a_queue(filled: Engine) -> None:
    wanted = {add_evaluation(filled, project=name) for name in ("p", "q")}
    assert {claim(filled).job_id, claim(filled).job_id} == wanted


def test_a_job_that_was_handed_back_goes_before_younger_ones(filled: Engine) -> None:
    older, younger = sorted(add_evaluation(filled) for _ in range(2))
    lease = claim(filled)
    assert lease.job_id == older
    release(filled, lease)
    assert [claim(filled).job_id, claim(filled).job_id] == [older, younger]


def test_priority_goes_before_age(filled: Engine) -> None:
    older, younger = sorted(add_evaluation(filled) for _ in range(2))
    change_job(filled, younger, priority=1)
    assert [claim(filled).job_id, claim(filled).job_id] == [younger, older]


def test_a_job_that_waits_for_its_time_lets_others_pass(filled: Engine) -> None:
    late, other = add_evaluation(filled, priority=9), add_evaluation(filled)
    change_job(filled, late, not_before=ago(-3600))
    assert claim(filled).job_id == other
    assert claim_or_none(filled) is None
    change_job(filled, late, not_before=ago(1))
    assert claim(filled).job_id == late


def test_a_job_that_is_to_be_canceled_is_not_begun(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, cancel_requested_at=ago(1))
    assert claim_or_none(filled) is None


def test_only_what_waits_is_claimed(filled: Engine, job_id: str) -> None:
    for status in set(Status) - {Status.QUEUED}:
        change_job(filled, job_id, status=status.value)
        assert claim_or_none(filled) is None
    assert job_of(filled, job_id).lease_epoch == 0


def test_every_claim_begins_an_epoch_and_only_the_first_is_the_start(
    filled: Engine, job_id: str
) -> None:
    first = claim(filled)
    started = job_of(filled, job_id).started_at
    release(filled, first)
    assert claim(filled).epoch == first.epoch + 1
    assert job_of(filled, job_id).started_at == started


def test_a_claim_that_rolls_back_leaves_the_job_waiting(filled: Engine, job_id: str) -> None:
    with reading(filled) as session:  # which commits nothing
        assert jobs.claim(session, queue="cpu", owner="w") is not None
    assert events_of(filled, job_id) == [("queued", {})]
    assert claim(filled).epoch == 1


@ON_POSTGRES
def test_a_claim_passes_over_the_job_that_another_is_claiming(filled: Engine) -> None:
    """On SQLite the second one waits for the first one's commit."""
    best, next_best = add_evaluation(filled, priority=1), add_evaluation(filled)
    with transaction(filled) as first, transaction(filled) as second:
        taken = [jobs.claim(session, queue="cpu", owner="w") for session in (first, second)]
    assert [lease.job_id for lease in taken if lease] == [best, next_best]


# --- renewal --------------------------------------------------------------------------------


def test_renewing_counts_from_now_by_the_leases_own_length(filled: Engine, job_id: str) -> None:
    lease = claim(filled, seconds=50.0)
    change_job(filled, job_id, lease_expires_at=ago(-1))
    with transaction(filled) as session:
        before = jobs.now(session)
        assert jobs.renew(session, lease)
        after = jobs.now(session)
    expires = job_of(filled, job_id).lease_expires_at
    assert expires is not None
    assert before <= expires - timedelta(seconds=50) <= after


def test_renewing_is_no_new_claim(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    assert renew(filled, lease)
    job = job_of(filled, job_id)
    assert (job.lease_epoch, job.attempts, job.lease_owner) == (1, 1, "w")


def test_an_expired_lease_that_nobody_swept_is_still_its_holders(
    filled: Engine, job_id: str
) -> None:
    lease = claim(filled)
    change_job(filled, job_id, lease_expires_at=ago(60))
    assert renew(filled, lease)
    expires = job_of(filled, job_id).lease_expires_at
    assert expires is not None
    assert expires > ago(0)


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
def test_a_lost_lease_is_not_renewed(filled: Engine, job_id: str, change: dict[str, Any]) -> None:
    lease = claim(filled)
    expires = ago(5)
    change_job(filled, job_id, lease_expires_at=expires, **change)
    assert not renew(filled, lease)
    assert job_of(filled, job_id).lease_expires_at == expires


@pytest.mark.parametrize("column", ["cancel_requested_at", "deadline_at"])
def test_what_is_canceled_or_out_of_time_is_not_renewed(
    filled: Engine, job_id: str, column: str
) -> None:
    lease = claim(filled)
    change_job(filled, job_id, **{column: ago(1)})
    assert not renew(filled, lease)


# --- the fence ------------------------------------------------------------------------------


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
def test_the_fence_stops_whoever_lost_the_lease(
    filled: Engine, job_id: str, change: dict[str, Any]
) -> None:
    lease = claim(filled)
    change_job(filled, job_id, **change)
    with pytest.raises(LeaseLost, match=f"{job_id}: epoch 1 is over"), transaction(filled) as s:
        jobs.fence(s, lease)


def test_the_fence_lets_the_holder_pass_again_and_again(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    for _ in range(2):
        with transaction(filled) as session:
            jobs.fence(session, lease)
    assert job_of(filled, job_id).lease_owner == "w"


def test_a_canceled_job_still_takes_what_its_worker_had_computed(
    filled: Engine, job_id: str
) -> None:
    lease = claim(filled)
    with transaction(filled) as session:
        jobs.request_cancel(session, job_id)
    with transaction(filled) as session:
        jobs.fence(session, lease)
        jobs.finish(session, lease, Status.CANCELED)
    assert job_of(filled, job_id).status == "canceled"


def test_a_lease_of_a_job_that_is_not_there_is_lost(database: Engine) -> None:
    with pytest.raises(LeaseLost), transaction(database) as session:
        jobs.fence(session, lease_of("eval_none"))


@ON_POSTGRES
def test_the_fence_locks_the_row_until_the_commit(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    query = select(JobRow).where(JobRow.id == job_id).with_for_update(nowait=True)
    with transaction(filled) as writer:
        jobs.fence(writer, lease)
        with pytest.raises(OperationalError, match="could not obtain lock"), reading(filled) as s:
            s.scalars(query).one()
    with transaction(filled) as session:
        assert session.scalars(query).one().id == job_id


# --- the end --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(FINISHED))
def test_an_end_is_written_with_its_moment_and_gives_the_lease_up(
    filled: Engine, job_id: str, status: Status
) -> None:
    lease = claim(filled)
    with transaction(filled) as session:
        jobs.finish(session, lease, status)
    job = job_of(filled, job_id)
    assert (job.status, job.error) == (status.value, None)
    assert (job.lease_owner, job.lease_expires_at) == (None, None)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.finished_at >= job.started_at
    assert events_of(filled, job_id)[-1] == (status.value, {})


def test_an_error_stands_in_the_row_and_in_the_event(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    with transaction(filled) as session:
        jobs.finish(session, lease, Status.FAILED, error="no memory")
    assert job_of(filled, job_id).error == "no memory"
    assert events_of(filled, job_id)[-1] == ("failed", {"error": "no memory"})


@pytest.mark.parametrize("status", sorted(set(Status) - FINISHED))
def test_no_job_ends_in_a_state_that_is_no_end(filled: Engine, job_id: str, status: Status) -> None:
    lease = claim(filled)
    with pytest.raises(ValueError, match="does not end a job"), transaction(filled) as session:
        jobs.finish(session, lease, status)
    assert job_of(filled, job_id).status == "running"


def test_a_job_ends_once(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    with transaction(filled) as session:
        jobs.finish(session, lease, Status.SUCCEEDED)
    with pytest.raises(LeaseLost, match="its end was not written"), transaction(filled) as session:
        jobs.finish(session, lease, Status.FAILED, error="late")
    assert (job_of(filled, job_id).status, job_of(filled, job_id).error) == ("succeeded", None)
    assert [kind for kind, _ in events_of(filled, job_id)] == ["queued", "claimed", "succeeded"]
