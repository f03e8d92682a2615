"""The lease, on both databases: one winner, late writes fenced, the lost found again."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.evaluations import EvaluationFields, create_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.sweep import Swept, sweep_jobs
from holdfast.db.tables import CheckpointRow, EventRow, JobRow, PolicyText
from holdfast.errors import LeaseLost
from holdfast.job import DEADLINE_SECONDS, MAX_ATTEMPTS, EventKind, Status

Make = Callable[..., str]

CLAIM_ALL = """
import sys
from holdfast.db import jobs
from holdfast.db.session import open_database, transaction
engine = open_database(sys.argv[1])
sys.stdin.readline()
while True:
    with transaction(engine) as session:
        lease = jobs.claim(session, queue="cpu", owner=sys.argv[2])
    if lease is None:
        break
    print(lease.job_id)
"""


@pytest.fixture
def make(database: Engine) -> Make:
    """Queue an evaluation: `make(priority=1)`."""
    with transaction(database) as session:
        moment = jobs.now(session)
        common = {"project": "p", "name": "n", "created_at": moment}
        files: dict[str, Any] = {"path": "/x", "template_sha256": "0" * 64, "files": []}
        session.add(CheckpointRow(id="c", digest="sha256:0", **common, **files))
        session.add(PolicyText(id="pol", digest="0", text="", **common))

    def queue(**also: Any) -> str:
        with transaction(database) as session:
            return create_evaluation(
                session,
                EvaluationFields(
                    project="p",
                    queue="cpu",
                    candidate_id="c",
                    baseline_id="c",
                    policy_id="pol",
                    tier="demo",
                    **also,
                ),
            )

    return queue


def claim(database: Engine, owner: str = "w") -> jobs.Lease:
    with transaction(database) as session:
        lease = jobs.claim(session, queue="cpu", owner=owner)
    assert lease is not None
    return lease


def age(database: Engine, **columns: float) -> None:
    """Move moments of all jobs into the past, by seconds."""
    with transaction(database) as session:
        moment = jobs.now(session)
        values = {name: moment - timedelta(seconds=seconds) for name, seconds in columns.items()}
        session.execute(update(JobRow).values(**values))


def status(database: Engine, job_id: str) -> tuple[str, str | None]:
    with reading(database) as session:
        job = session.get_one(JobRow, job_id)
        return job.status, job.error


def test_six_processes_claim_a_hundred_jobs_once_each(
    database: Engine, database_url: str, make: Make
) -> None:
    wanted = {make() for _ in range(100)}
    command = [sys.executable, "-c", CLAIM_ALL, database_url]
    workers = [
        subprocess.Popen(
            [*command, f"w{number}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(6)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    claimed = [job for worker in workers for job in worker.communicate(timeout=120)[0].split()]
    assert [worker.returncode for worker in workers] == [0] * 6
    assert sorted(claimed) == sorted(wanted)
    with reading(database) as session:
        assert session.scalars(select(JobRow.attempts).distinct()).all() == [1]


def test_the_best_first(database: Engine, make: Make) -> None:
    low, first, second = make(priority=-1), make(priority=5), make(priority=5)
    expected = [*sorted([first, second]), low]
    assert [claim(database).job_id for _ in range(3)] == expected
    with transaction(database) as session:
        assert jobs.claim(session, queue="cpu", owner="w") is None
        assert jobs.claim(session, queue="gpu", owner="w") is None


def test_a_late_worker_writes_nothing(database: Engine, make: Make) -> None:
    job_id = make()
    old = claim(database, "old")
    age(database, lease_expires_at=1)
    with transaction(database) as session:
        assert sweep_jobs(session) == Swept(1, (), ("cpu",))
    new = claim(database, "new")
    assert new.epoch == old.epoch + 1

    def write_late(write: Callable[[Session], None]) -> None:
        with transaction(database) as session:
            jobs.add_event(session, job_id, EventKind.TRAINING, {})
            write(session)

    with pytest.raises(LeaseLost):
        write_late(lambda session: jobs.fence(session, old))
    with pytest.raises(LeaseLost):
        write_late(lambda session: jobs.finish(session, old, Status.SUCCEEDED))
    with transaction(database) as session:
        assert not jobs.renew(session, old)
        assert not jobs.release(session, old)
        jobs.fence(session, new)
        jobs.finish(session, new, Status.SUCCEEDED)
    assert status(database, job_id) == ("succeeded", None)
    with reading(database) as session:
        is_ghost = EventRow.kind == EventKind.TRAINING.value
        ghosts = select(func.count()).select_from(EventRow).where(is_ghost)
        assert session.scalar(ghosts) == 0


def test_the_sweeper_gives_up_at_last(database: Engine, make: Make) -> None:
    job_id = make()
    for _ in range(MAX_ATTEMPTS):
        claim(database)
        age(database, lease_expires_at=1)
        with transaction(database) as session:
            sweep_jobs(session)
    assert status(database, job_id) == (
        "failed",
        f"lost its worker {MAX_ATTEMPTS} times and got no further",
    )


def test_a_job_that_gets_on_is_lost_as_often_as_it_takes(database: Engine, make: Make) -> None:
    """A laptop sleeps, a database goes away: what was saved is not asked again."""
    job_id = make()
    for _ in range(3 * MAX_ATTEMPTS):
        lease = claim(database)
        with transaction(database) as session:
            jobs.fence(session, lease, got_on=True)
        age(database, lease_expires_at=1)
        with transaction(database) as session:
            assert sweep_jobs(session).requeued == 1
    for lost in range(MAX_ATTEMPTS):
        claim(database)
        age(database, lease_expires_at=1)
        with transaction(database) as session:
            assert bool(sweep_jobs(session).ended) is (lost == MAX_ATTEMPTS - 1)
    assert status(database, job_id)[0] == "failed"


def test_the_time_of_a_job_begins_with_its_first_claim_and_not_with_the_next(
    database: Engine, make: Make
) -> None:
    make()
    age(database, created_at=5 * DEADLINE_SECONDS)
    lease = claim(database)
    with transaction(database) as session:
        left = (lease.deadline_at - jobs.now(session)).total_seconds()
        assert left == pytest.approx(DEADLINE_SECONDS, abs=60)
        assert jobs.renew(session, lease)
        assert jobs.release(session, lease)
    assert claim(database).deadline_at == lease.deadline_at


def test_work_for_another_has_a_deadline_that_does_not_wait_for_a_claim(
    database: Engine, make: Make
) -> None:
    job_id = make()
    with transaction(database) as session:
        soon = jobs.now(session) + timedelta(seconds=90)
        jobs.must_end(session, job_id, soon)
    assert claim(database).deadline_at == soon


def test_the_sweeper_repeats_hints_and_keeps_deadlines(database: Engine, make: Make) -> None:
    job_id = make()
    with transaction(database) as session:
        assert sweep_jobs(session).hints == (), "the submitter has just sent one"
    age(database, hinted_at=3600)
    with transaction(database) as session:
        assert sweep_jobs(session).hints == ("cpu",)
        assert sweep_jobs(session).hints == ()
    age(database, deadline_at=1)
    with transaction(database) as session:
        assert sweep_jobs(session).ended == (job_id,)
    assert status(database, job_id)[0] == "timed_out"


def test_a_canceled_job_whose_worker_died_ends_canceled(database: Engine, make: Make) -> None:
    job_id = make()
    lease = claim(database)
    with transaction(database) as session:
        assert jobs.request_cancel(session, job_id) is Status.RUNNING
        assert not jobs.renew(session, lease)
    age(database, lease_expires_at=1)
    with transaction(database) as session:
        sweep_jobs(session)
    assert status(database, job_id)[0] == "canceled"


def test_a_hand_over_costs_no_attempt_and_a_crash_does(database: Engine, make: Make) -> None:
    job_id = make()
    for crashed, attempts, crashes in [(False, 0, 0), (True, 1, 1), (False, 1, 1)]:
        with transaction(database) as session:
            lease = jobs.claim(session, queue="cpu", owner="w")
            assert lease is not None
            assert jobs.release(session, lease, crashed=crashed)
        with reading(database) as session:
            job = session.get_one(JobRow, job_id)
            assert (job.status, job.attempts, job.crash_count) == ("queued", attempts, crashes)


def test_a_retry_starts_anew(database: Engine, make: Make) -> None:
    job_id = make()
    with transaction(database) as session:
        jobs.request_cancel(session, job_id)
        jobs.retry(session, job_id)
    assert claim(database).job_id == job_id
