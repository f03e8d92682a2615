"""One sweep over rows in every state: what it frees, what it ends, whom it wakes."""

from typing import Any

import pytest
from sqlalchemy import Engine

from holdfast.db import jobs
from holdfast.db.session import transaction
from holdfast.db.sweep import HINTS_OF_A_QUEUE, Swept, sweep_jobs
from holdfast.errors import LeaseLost
from holdfast.job import FINISHED, MAX_ATTEMPTS, RESEND_HINT_SECONDS, Status
from tests.holdfast.db.rows import (
    add_evaluation,
    add_remediation,
    ago,
    change_job,
    claim,
    events_of,
    job_of,
)

NOTHING = Swept(0, (), ())


def sweep(database: Engine, **how: Any) -> Swept:
    with transaction(database) as session:
        return sweep_jobs(session, **how)


def lose(database: Engine, **columns: Any) -> jobs.Lease:
    """Claim the best job, then change its row; its lease is over unless the change says more."""
    lease = claim(database)
    change_job(database, lease.job_id, **{"lease_expires_at": ago(1), **columns})
    return lease


# --- leases ---------------------------------------------------------------------------------


def test_a_sweep_without_jobs_does_nothing(database: Engine) -> None:
    assert sweep(database) == NOTHING


def test_a_living_lease_is_left_alone(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    assert sweep(filled) == NOTHING
    job = job_of(filled, job_id)
    assert (job.status, job.lease_owner, job.lease_epoch) == ("running", "w", lease.epoch)


def test_a_lost_job_waits_again_with_its_attempt_counted(filled: Engine, job_id: str) -> None:
    lose(filled)
    assert sweep(filled) == Swept(1, (), ("cpu",))
    job = job_of(filled, job_id)
    assert (job.status, job.lease_owner, job.lease_expires_at) == ("queued", None, None)
    assert (job.attempts, job.crash_count, job.lease_epoch) == (1, 0, 1)
    assert events_of(filled, job_id)[-1] == ("requeued", {"lost": True})


def test_a_second_sweep_finds_the_work_done(filled: Engine, job_id: str) -> None:
    lose(filled)
    sweep(filled)
    assert sweep(filled) == NOTHING
    kinds = [kind for kind, _ in events_of(filled, job_id)]
    assert kinds == ["queued", "claimed", "requeued"]


def test_a_worker_that_wakes_after_the_sweep_writes_nothing(filled: Engine, job_id: str) -> None:
    lease = lose(filled)
    sweep(filled)
    with pytest.raises(LeaseLost), transaction(filled) as session:
        jobs.fence(session, lease)
    with transaction(filled) as session:
        assert not jobs.renew(session, lease)
    assert job_of(filled, job_id).status == "queued"


def test_a_renewal_before_the_sweep_saves_the_lease(filled: Engine, job_id: str) -> None:
    lease = lose(filled)
    assert lease.job_id == job_id
    with transaction(filled) as session:
        assert jobs.renew(session, lease)
    assert sweep(filled) == NOTHING


# --- attempts -------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["losses", "crash_count"])
def test_the_last_attempt_is_the_last(filled: Engine, job_id: str, column: str) -> None:
    lose(filled, **{column: MAX_ATTEMPTS - 1})
    assert sweep(filled).requeued == 1
    assert job_of(filled, job_id).status == "queued"
    lose(filled, **{column: MAX_ATTEMPTS})
    assert sweep(filled).ended == (job_id,)
    assert job_of(filled, job_id).status == "failed"


def test_a_job_given_up_says_how_often_its_worker_was_lost(filled: Engine, job_id: str) -> None:
    lose(filled, losses=MAX_ATTEMPTS)
    sweep(filled)
    error = f"lost its worker {MAX_ATTEMPTS} times and got no further"
    job = job_of(filled, job_id)
    assert (job.error, job.lease_owner, job.lease_expires_at) == (error, None, None)
    assert job.finished_at is not None
    assert events_of(filled, job_id)[-1] == ("failed", {"error": error})


def test_the_last_attempt_may_end_well(filled: Engine, job_id: str) -> None:
    lease = claim(filled)
    change_job(filled, job_id, losses=MAX_ATTEMPTS, crash_count=MAX_ATTEMPTS)
    assert sweep(filled) == NOTHING
    with transaction(filled) as session:
        jobs.finish(session, lease, Status.SUCCEEDED)


def test_a_job_that_waits_for_its_last_attempt_gets_it(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, losses=MAX_ATTEMPTS)
    assert sweep(filled).ended == ()
    assert claim(filled).job_id == job_id


# --- deadline and cancel --------------------------------------------------------------------


def test_a_job_that_waited_past_its_deadline_is_timed_out(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, deadline_at=ago(1))
    assert sweep(filled) == Swept(0, (job_id,), ())
    job, error = job_of(filled, job_id), "no worker took it in 7 days; start one for its queue"
    assert (job.status, job.error) == ("timed_out", error)
    assert events_of(filled, job_id)[-1] == ("timed_out", {"error": error})


@pytest.mark.parametrize("begun", [True, False])
def test_a_job_with_a_deadline_of_its_own_is_past_it(
    filled: Engine, job_id: str, begun: bool
) -> None:
    if begun:
        claim(filled)
        change_job(filled, job_id, deadline_at=ago(1), lease_expires_at=ago(1))
    else:
        change_job(filled, job_id, deadline_at=ago(1), run_seconds=None)
    sweep(filled)
    job = job_of(filled, job_id)
    assert (job.status, job.error) == ("timed_out", "past its deadline")


@pytest.mark.parametrize("column", ["deadline_at", "cancel_requested_at"])
def test_who_still_holds_the_job_ends_it(filled: Engine, job_id: str, column: str) -> None:
    """The heartbeat tells the worker, and the sweeper steps in when the lease is over."""
    lease = claim(filled)
    change_job(filled, job_id, **{column: ago(1)})
    assert sweep(filled) == NOTHING
    change_job(filled, job_id, lease_expires_at=ago(1))
    assert sweep(filled) == Swept(0, (job_id,), ())
    assert job_of(filled, job_id).lease_epoch == lease.epoch


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        (("cancel_requested_at", "deadline_at", "losses"), "canceled"),
        (("cancel_requested_at", "losses"), "canceled"),
        (("deadline_at", "losses"), "timed_out"),
        (("losses",), "failed"),
    ],
)
def test_of_several_ends_a_job_has_one(
    filled: Engine, job_id: str, columns: tuple[str, ...], status: str
) -> None:
    values = {name: MAX_ATTEMPTS if name == "losses" else ago(1) for name in columns}
    lose(filled, **values)
    assert sweep(filled) == Swept(0, (job_id,), ())
    assert job_of(filled, job_id).status == status
    assert [kind for kind, _ in events_of(filled, job_id)] == ["queued", "claimed", status]


def test_a_canceled_end_has_no_error(filled: Engine, job_id: str) -> None:
    lose(filled, cancel_requested_at=ago(1))
    sweep(filled)
    assert job_of(filled, job_id).error is None
    assert events_of(filled, job_id)[-1] == ("canceled", {})


def test_what_is_over_stays_as_it_is(filled: Engine, job_id: str) -> None:
    old = dict.fromkeys(("deadline_at", "cancel_requested_at", "hinted_at", "finished_at"), ago(99))
    for status in sorted(FINISHED):
        change_job(filled, job_id, status=status.value, losses=MAX_ATTEMPTS, **old)
        assert sweep(filled) == NOTHING
        job = job_of(filled, job_id)
        assert (job.status, job.finished_at) == (status.value, old["finished_at"])


def test_repairs_are_swept_like_evaluations(filled: Engine, job_id: str) -> None:
    claim(filled)
    repair = add_remediation(filled, job_id)
    assert lose(filled).job_id == repair
    assert sweep(filled).requeued == 1
    assert job_of(filled, repair).status == "queued"


def test_one_sweep_does_all_of_it(filled: Engine) -> None:
    ids = [add_evaluation(filled) for _ in range(4)]
    change_job(filled, ids[0], deadline_at=ago(1))
    change_job(filled, ids[1], cancel_requested_at=ago(1))
    running = {"status": "running", "lease_expires_at": ago(1)}
    change_job(filled, ids[2], losses=MAX_ATTEMPTS, **running)
    change_job(filled, ids[3], losses=1, **running)
    swept = sweep(filled)
    assert (swept.requeued, set(swept.ended), swept.hints) == (1, set(ids[:3]), ("cpu",))
    statuses = [job_of(filled, job_id).status for job_id in ids]
    assert statuses == ["timed_out", "canceled", "failed", "queued"]


# --- hints ----------------------------------------------------------------------------------


def test_each_job_that_waits_too_long_deserves_a_hint(filled: Engine) -> None:
    for queue in ("cpu", "cpu", "gpu"):
        change_job(filled, add_evaluation(filled, queue=queue), hinted_at=ago(999))
    add_evaluation(filled)  # whose hint was just sent
    assert sorted(sweep(filled).hints) == ["cpu", "cpu", "gpu"]


def test_of_a_long_queue_only_the_next_jobs_are_hinted_at(filled: Engine) -> None:
    first = [add_evaluation(filled, priority=5) for _ in range(HINTS_OF_A_QUEUE)]
    later = [add_evaluation(filled) for _ in range(4)]
    old = ago(999)
    for job_id in first + later:
        change_job(filled, job_id, hinted_at=old)
    assert sweep(filled).hints == ("cpu",) * HINTS_OF_A_QUEUE
    assert sweep(filled).hints == (), "not the others in their place: these are still to be taken"
    assert all(job_of(filled, job_id).hinted_at == old for job_id in later)


def test_how_old_a_lost_hint_is_may_be_said(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, hinted_at=ago(100))
    assert sweep(filled, resend_after=160.0).hints == ()
    assert sweep(filled, resend_after=40.0).hints == ("cpu",)


def test_a_hint_is_lost_after_the_time_of_the_settings(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, hinted_at=ago(RESEND_HINT_SECONDS / 3))
    assert sweep(filled).hints == ()
    change_job(filled, job_id, hinted_at=ago(RESEND_HINT_SECONDS + 1))
    assert sweep(filled).hints == ("cpu",)


def test_a_job_that_was_never_hinted_at_is(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, hinted_at=None)
    assert sweep(filled).hints == ("cpu",)
    assert job_of(filled, job_id).hinted_at is not None


def test_nobody_is_woken_for_a_job_whose_time_has_not_come(filled: Engine, job_id: str) -> None:
    change_job(filled, job_id, hinted_at=None, not_before=ago(-3600))
    assert sweep(filled).hints == ()
    change_job(filled, job_id, not_before=ago(1))
    assert sweep(filled).hints == ("cpu",)


def test_nobody_is_woken_for_a_job_that_runs(filled: Engine, job_id: str) -> None:
    claim(filled)
    change_job(filled, job_id, hinted_at=None)
    assert sweep(filled).hints == ()
