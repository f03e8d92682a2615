"""The heartbeat: what it renews, what it takes for a loss, and that it stops the work for sure."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from holdfast.db import jobs
from holdfast.db.session import reading, transaction
from holdfast.db.tables import JobRow
from holdfast.job import Status
from workers import heartbeat
from workers.heartbeat import Heartbeat, Loss

POLL = 0.05


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "CANCEL_POLL_SECONDS", POLL)


@pytest.fixture
def lease(queue: Callable[[], str], claim: Callable[[], jobs.Lease]) -> jobs.Lease:
    queue()
    return claim()


def change(database: Engine, lease: jobs.Lease, **columns: object) -> None:
    with transaction(database) as session:
        job = session.get_one(JobRow, lease.job_id)
        for name, value in columns.items():
            setattr(job, name, value)


def expiry(database: Engine, lease: jobs.Lease) -> datetime:
    with reading(database) as session:
        found = session.get_one(JobRow, lease.job_id).lease_expires_at
    assert found is not None
    return found


def wait_for(true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_job_that_is_ours_is_renewed_and_never_stopped(
    database: Engine, lease: jobs.Lease
) -> None:
    before, stops = expiry(database, lease), []
    with Heartbeat(database, lease, lambda: stops.append(1), every=2 * POLL) as beat:
        wait_for(lambda: expiry(database, lease) > before + timedelta(seconds=4 * POLL))
    assert (beat.lost, stops) == (None, [])


@pytest.mark.parametrize(
    ("columns", "loss"),
    [
        ({"cancel_requested_at": datetime.now(UTC)}, Loss.CANCELED),
        ({"deadline_at": datetime.now(UTC)}, Loss.DEADLINE),
        ({"lease_epoch": 2}, Loss.LEASE),
        ({"status": Status.QUEUED.value}, Loss.LEASE),
    ],
)
def test_a_loss_is_named_and_the_work_is_stopped_until_it_has_ended(
    columns: dict[str, object], loss: Loss, database: Engine, lease: jobs.Lease
) -> None:
    stops: list[int] = []
    with Heartbeat(database, lease, lambda: stops.append(1)) as beat:
        change(database, lease, **columns)
        wait_for(lambda: len(stops) >= 3)  # what it killed first may not have been started yet
    assert beat.lost is loss


def test_work_that_has_just_ended_is_not_stopped(database: Engine, lease: jobs.Lease) -> None:
    stops: list[int] = []
    with Heartbeat(database, lease, lambda: stops.append(1)) as beat:
        with transaction(database) as session:
            jobs.finish(session, lease, Status.SUCCEEDED)
        time.sleep(1.5 * POLL)  # it looks once
    assert (beat.lost, stops) == (None, [])


@pytest.fixture
def outage(database: Engine, home: Path) -> Iterator[Callable[[], None]]:
    """The tables are gone until the end of the test, or until it is called."""
    file, away = home / "holdfast.db", home / "away.db"

    def end() -> None:
        database.dispose()
        away.replace(file)

    database.dispose()
    for part in ("", "-wal", "-shm"):
        source = home / f"holdfast.db{part}"
        if source.exists():
            source.replace(home / f"away.db{part}")
    yield end
    if away.exists():
        end()


def test_a_silent_database_ends_the_work_before_the_lease_does(
    lease: jobs.Lease, database: Engine, outage: Callable[[], None]
) -> None:
    short, stops = replace(lease, seconds=1.2), []
    started = time.monotonic()
    with Heartbeat(database, short, lambda: stops.append(time.monotonic() - started)) as beat:
        wait_for(lambda: stops)
    assert beat.lost is Loss.DATABASE
    assert stops[0] >= 1.0


def test_a_database_that_comes_back_in_time_ends_nothing(
    lease: jobs.Lease, database: Engine, outage: Callable[[], None]
) -> None:
    stops: list[int] = []
    with Heartbeat(database, replace(lease, seconds=60.0), lambda: stops.append(1)) as beat:
        time.sleep(4 * POLL)
        outage()
        time.sleep(4 * POLL)
    assert (beat.lost, stops) == (None, [])
