"""One sweep over the job rows: frees the leases of lost workers, ends what is over.

Every statement is conditional on what it changes, so any number of sweepers may run at once, and
none of them locks a row that a worker is writing to.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.orm import Session

from holdfast.db.jobs import add_event, now
from holdfast.db.tables import JobRow
from holdfast.job import MAX_ATTEMPTS, RESEND_HINT_SECONDS, WAITING_SECONDS, EventKind, Status

HINTS_OF_A_QUEUE = 8  # at a time; more workers are woken by the rounds after


@dataclass(frozen=True, slots=True)
class Swept:
    """The outcome of one sweep: rows freed, jobs ended, and the queues that deserve a hint."""

    requeued: int
    ended: tuple[str, ...]
    hints: tuple[str, ...]


def sweep_jobs(session: Session, *, resend_after: float = RESEND_HINT_SECONDS) -> Swept:
    """Free expired leases, end what is over or lost too often, name queues to hint at.

    A hint older than `resend_after` seconds is taken for lost.
    """
    moment = now(session)
    expired = (JobRow.status == Status.RUNNING.value, JobRow.lease_expires_at < moment)
    spent = or_(JobRow.losses >= MAX_ATTEMPTS, JobRow.crash_count >= MAX_ATTEMPTS)
    unfinished = JobRow.status.in_([Status.QUEUED.value, Status.RUNNING.value])
    lease_over = or_(JobRow.lease_expires_at.is_(None), JobRow.lease_expires_at < moment)
    ended = [
        *_end(
            session,
            Status.CANCELED,
            None,
            unfinished,
            lease_over,
            JobRow.cancel_requested_at.is_not(None),
        ),
        *_end(
            session,
            Status.TIMED_OUT,
            f"no worker took it in {WAITING_SECONDS / 86400:.0f} days; start one for its queue",
            unfinished,
            JobRow.started_at.is_(None),
            JobRow.run_seconds.is_not(None),
            JobRow.deadline_at < moment,
        ),
        *_end(
            session,
            Status.TIMED_OUT,
            "past its deadline",
            unfinished,
            lease_over,
            JobRow.deadline_at < moment,
        ),
        *_end(
            session,
            Status.FAILED,
            f"lost its worker {MAX_ATTEMPTS} times and got no further",
            *expired,
            spent,
        ),
    ]
    freed = session.scalars(
        update(JobRow)
        .where(*expired)
        .values(
            status=Status.QUEUED.value,
            lease_owner=None,
            lease_expires_at=None,
            hinted_at=None,
        )
        .returning(JobRow.id)
        .execution_options(synchronize_session=False)
    ).all()
    for job_id in freed:
        add_event(session, job_id, EventKind.REQUEUED, {"lost": True})
    return Swept(len(freed), tuple(ended), tuple(_due_hints(session, moment, resend_after)))


def _due_hints(session: Session, moment: datetime, resend_after: float) -> list[str]:
    """A queue's name for each of its next jobs whose last hint is old or never was.

    Whoever takes a hint works until nothing is runnable, so a few of them wake a queue.
    """
    waiting = select(JobRow.queue).where(JobRow.status == Status.QUEUED.value).distinct()
    return [
        queue
        for queue in session.scalars(waiting).all()
        for _ in range(_hint_at(session, queue, moment, resend_after))
    ]


def _hint_at(session: Session, queue: str, moment: datetime, resend_after: float) -> int:
    """Note a hint at the queue's next jobs that are due for one; how many are."""
    following = (
        select(JobRow.id)
        .where(
            JobRow.queue == queue,
            JobRow.status == Status.QUEUED.value,
            or_(JobRow.not_before.is_(None), JobRow.not_before <= moment),
        )
        .order_by(JobRow.priority.desc(), JobRow.id)
        .limit(HINTS_OF_A_QUEUE)
    )
    old = moment - timedelta(seconds=resend_after)
    due = update(JobRow).where(
        JobRow.id.in_(following),
        JobRow.status == Status.QUEUED.value,
        or_(JobRow.hinted_at.is_(None), JobRow.hinted_at < old),
    )
    noted = session.execute(
        due.values(hinted_at=moment).execution_options(synchronize_session=False)
    )
    return noted.rowcount if isinstance(noted, CursorResult) else 0


def _end(session: Session, status: Status, error: str | None, *where: Any) -> list[str]:
    ended = list(
        session.scalars(
            update(JobRow)
            .where(*where)
            .values(
                status=status.value,
                error=error,
                finished_at=now(session),
                lease_owner=None,
                lease_expires_at=None,
            )
            .returning(JobRow.id)
            .execution_options(synchronize_session=False)
        )
    )
    for job_id in ended:
        add_event(session, job_id, status, {"error": error} if error else {})
    return ended
