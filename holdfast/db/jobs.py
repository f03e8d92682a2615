"""The lease: who may work on a job, and how the writes of one who lost it are fenced.

A claim is one conditional UPDATE that raises `lease_epoch`; every later write of the worker names
that epoch, so a worker that was paused past its lease can wake up and write nothing. Nobody locks
a row while computing. On PostgreSQL the database's clock decides, on SQLite (one host) the
process's: workers' clocks never meet.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Update, case, func, or_, select, update
from sqlalchemy.orm import Session

from holdfast.db.tables import EventRow, JobRow
from holdfast.errors import Conflict, LeaseLost, NotFound
from holdfast.job import (
    DEADLINE_SECONDS,
    FINISHED,
    LEASE_SECONDS,
    WAITING_SECONDS,
    EventKind,
    JobKind,
    Status,
    may_move,
)

ONE_LESS = case((JobRow.losses > 0, JobRow.losses - 1), else_=0)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one job until it expires or another epoch begins."""

    job_id: str
    kind: JobKind
    owner: str
    epoch: int
    deadline_at: datetime
    seconds: float = LEASE_SECONDS  # from one renewal to the end


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def now(session: Session) -> datetime:
    """The clock that leases go by."""
    if _is_postgresql(session):
        clock: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        return clock.astimezone(UTC)
    return datetime.now(UTC)


def claim(
    session: Session, *, queue: str, owner: str, seconds: float = LEASE_SECONDS
) -> Lease | None:
    """Take the best runnable job of a queue for `seconds`, or None when there is nothing to do."""
    moment = now(session)
    best = (
        select(JobRow.id)
        .where(
            JobRow.queue == queue,
            JobRow.status == Status.QUEUED.value,
            JobRow.cancel_requested_at.is_(None),
            or_(JobRow.not_before.is_(None), JobRow.not_before <= moment),
        )
        .order_by(JobRow.priority.desc(), JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # SQLite ignores it: one writer at a time there
    )
    row = session.execute(
        update(JobRow)
        .where(JobRow.id == best.scalar_subquery(), JobRow.status == Status.QUEUED.value)
        .values(
            status=Status.RUNNING.value,
            lease_owner=owner,
            lease_expires_at=moment + timedelta(seconds=seconds),
            lease_epoch=JobRow.lease_epoch + 1,
            attempts=JobRow.attempts + 1,
            losses=JobRow.losses + 1,  # until it gets on
            started_at=func.coalesce(JobRow.started_at, moment),
        )
        .returning(
            JobRow.id,
            JobRow.kind,
            JobRow.lease_epoch,
            JobRow.started_at,
            JobRow.run_seconds,
            JobRow.deadline_at,
            JobRow.attempts,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    lease = Lease(row.id, JobKind(row.kind), owner, row.lease_epoch, row.deadline_at, seconds)
    if row.started_at == moment and row.run_seconds is not None:
        lease = replace(lease, deadline_at=moment + timedelta(seconds=row.run_seconds))
        _write(session, _held(lease).values(deadline_at=lease.deadline_at))
    add_event(session, row.id, EventKind.CLAIMED, {"attempt": row.attempts, "worker": owner})
    return lease


def renew(session: Session, lease: Lease) -> bool:
    """Extend the lease; False when it is lost, canceled or past its deadline."""
    moment = now(session)
    renewed = _write(
        session,
        _held(lease)
        .where(JobRow.cancel_requested_at.is_(None), JobRow.deadline_at > moment)
        .values(lease_expires_at=moment + timedelta(seconds=lease.seconds)),
    )
    return renewed == 1


def fence(session: Session, lease: Lease, *, got_on: bool = False) -> None:
    """Lock the job's row and make sure that the lease is still ours; else LeaseLost.

    Called first in every transaction in which a worker writes results. `got_on`: what it writes
    need not be done again, so leases that are lost are counted anew.
    """
    progress = {"losses": 0} if got_on else {}
    if _write(session, _held(lease).values(lease_owner=lease.owner, **progress)) != 1:
        raise LeaseLost(f"{lease.job_id}: epoch {lease.epoch} is over, nothing was written")


def finish(session: Session, lease: Lease, status: Status, *, error: str | None = None) -> None:
    """End the job, once: only the holder of the current epoch can."""
    if status not in FINISHED:
        raise ValueError(f"{status} does not end a job, expected one of {sorted(FINISHED)}")
    ended = _write(
        session,
        _held(lease).values(
            status=status.value,
            error=error,
            finished_at=now(session),
            lease_owner=None,
            lease_expires_at=None,
        ),
    )
    if ended != 1:
        raise LeaseLost(f"{lease.job_id}: epoch {lease.epoch} is over, its end was not written")
    add_event(session, lease.job_id, status, {"error": error} if error else {})


def release(session: Session, lease: Lease, *, crashed: bool = False, delay: float = 0.0) -> bool:
    """Give the job back to the queue, for another worker to go on; False if it was not ours.

    A crash counts: a job that kills its workers ends as failed after MAX_ATTEMPTS of them. A
    hand-over (SIGTERM) is nobody's fault, so its attempt is given back.
    """
    moment = now(session)
    released = _write(
        session,
        _held(lease).values(
            status=Status.QUEUED.value,
            lease_owner=None,
            lease_expires_at=None,
            hinted_at=None,
            attempts=JobRow.attempts if crashed else JobRow.attempts - 1,
            losses=JobRow.losses if crashed else ONE_LESS,
            crash_count=JobRow.crash_count + int(crashed),
            not_before=moment + timedelta(seconds=delay) if delay else None,
        ),
    )
    if released == 1:
        add_event(session, lease.job_id, EventKind.REQUEUED, {"crashed": crashed})
    return released == 1


def rest(session: Session, lease: Lease, seconds: float) -> None:
    """Put a job aside that waits for others, at most so long; `take_up` does so earlier."""
    rested = _write(
        session,
        _held(lease).values(
            status=Status.QUEUED.value,
            lease_owner=None,
            lease_expires_at=None,
            attempts=JobRow.attempts - 1,
            losses=ONE_LESS,
            not_before=now(session) + timedelta(seconds=seconds),
        ),
    )
    if rested != 1:
        raise LeaseLost(f"{lease.job_id}: epoch {lease.epoch} is over, nothing was written")


def take_up(session: Session, job_id: str) -> bool:
    """Take up a job that rests; False where it does not wait."""
    resting = update(JobRow).where(JobRow.id == job_id, JobRow.status == Status.QUEUED.value)
    return _write(session, resting.values(not_before=None)) == 1


def crashes(session: Session, lease: Lease) -> int:
    """How often this job has crashed a worker so far."""
    count: int = session.execute(
        select(JobRow.crash_count).where(JobRow.id == lease.job_id)
    ).scalar_one()
    return count


def request_cancel(session: Session, job_id: str) -> Status:
    """Ask for the end of a job: at once if it waits, at the worker's next look if it runs."""
    job = session.get(JobRow, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"no job {job_id}")
    status = Status(job.status)
    if status in FINISHED:
        raise Conflict(
            f"{job_id} is {status.value} already; only a queued or running job can be canceled"
        )
    moment = now(session)
    job.cancel_requested_at = job.cancel_requested_at or moment
    if status is Status.QUEUED:
        job.status, job.finished_at = Status.CANCELED.value, moment
        add_event(session, job_id, Status.CANCELED, {})
    return Status(job.status)


def retry(session: Session, job_id: str) -> None:
    """Queue a job again that ended without a result; what it computed is kept, its time is new."""
    job = session.get(JobRow, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"no job {job_id}")
    if not may_move(Status(job.status), Status.QUEUED):
        raise Conflict(
            f"{job_id} is {job.status}; only a failed, canceled or timed out job can be retried"
        )
    job.status, job.error, job.finished_at = Status.QUEUED.value, None, None
    job.cancel_requested_at, job.hinted_at, job.not_before = None, None, None
    job.started_at = None  # its next start is what its seconds count from
    job.attempts = job.crash_count = job.losses = 0
    job.deadline_at = now(session) + timedelta(seconds=WAITING_SECONDS)
    job.run_seconds = DEADLINE_SECONDS
    add_event(session, job_id, EventKind.RETRIED, {})


def must_end(session: Session, job_id: str, deadline_at: datetime) -> None:
    """Give a job a deadline that does not wait for its first claim, as work for another has it."""
    job = session.get_one(JobRow, job_id)
    job.deadline_at, job.run_seconds = deadline_at, None


def _held(lease: Lease) -> Update:
    return update(JobRow).where(
        JobRow.id == lease.job_id,
        JobRow.lease_epoch == lease.epoch,
        JobRow.status == Status.RUNNING.value,
    )


def _write(session: Session, statement: Update) -> int:
    result = session.execute(statement.execution_options(synchronize_session=False))
    return result.rowcount if isinstance(result, CursorResult) else 0


def add_event(
    session: Session, job_id: str, kind: EventKind | Status, document: dict[str, Any]
) -> None:
    """Store an event of a job; the event stream reads them in order."""
    at = func.clock_timestamp() if _is_postgresql(session) else datetime.now(UTC)
    session.add(EventRow(job_id=job_id, kind=kind.value, document=document, created_at=at))
