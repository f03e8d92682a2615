"""One sweep over the job rows: frees the leases of lost workers, ends what is over.

Every statement is conditional on what it changes, so any number of sweepers may run at once, and
none of them locks a row that a worker is writing to.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from holdfast.db.jobs import add_event, now
from holdfast.db.tables import JobRow
from holdfast.job import MAX_ATTEMPTS, RESEND_HINT_SECONDS, EventKind, Status


@dataclass(frozen=True, slots=True)
class Swept:
    """The outcome of one sweep: rows freed or ended, and the queues that deserve a hint."""

    requeued: int
    ended: int
    hints: tuple[str, ...]


def sweep_jobs(session: Session, *, resend_after: float = RESEND_HINT_SECONDS) -> Swept:
    """Free expired leases, end what is past its deadline or its attempts, name queues to hint at.

    A hint older than `resend_after` seconds is taken for lost.
    """
    moment = now(session)
    expired = (JobRow.status == Status.RUNNING.value, JobRow.lease_expires_at < moment)
    spent = or_(JobRow.attempts >= MAX_ATTEMPTS, JobRow.crash_count >= MAX_ATTEMPTS)
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
            "past its deadline",
            unfinished,
            lease_over,
            JobRow.deadline_at < moment,
        ),
        *_end(session, Status.FAILED, f"lost its worker {MAX_ATTEMPTS} times", *expired, spent),
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
    return Swept(len(freed), len(ended), tuple(_due_hints(session, moment, resend_after)))


def _due_hints(session: Session, moment: datetime, resend_after: float) -> list[str]:
    """One queue name for every waiting job whose last hint is old or never was."""
    old = moment - timedelta(seconds=resend_after)
    return list(
        session.scalars(
            update(JobRow)
            .where(
                JobRow.status == Status.QUEUED.value,
                or_(JobRow.hinted_at.is_(None), JobRow.hinted_at < old),
                or_(JobRow.not_before.is_(None), JobRow.not_before <= moment),
            )
            .values(hinted_at=moment)
            .returning(JobRow.queue)
            .execution_options(synchronize_session=False)
        )
    )


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
