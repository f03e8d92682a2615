"""Work that is not over, and aliases, as queries: what they need is never pruned.

A failing evaluation, its repairs and their evaluations are one story: as long as a job of it waits
or runs, nothing of any of them is pruned, so a ladder never looks for a try that is not there.
"""

from datetime import datetime

from sqlalchemy import CompoundSelect, Select, func, select, union
from sqlalchemy.orm import Session

from holdfast.db.tables import (
    BaselineMove,
    CheckpointRow,
    EvaluationRow,
    JobRow,
    RemediationRow,
)
from holdfast.job import FINISHED

CHECKPOINTS_READ = (
    EvaluationRow.candidate_id,
    EvaluationRow.baseline_id,
    EvaluationRow.anchor_id,
    EvaluationRow.repairs_id,
)


def unfinished_jobs() -> Select[str]:
    """The ids of the jobs that wait or run."""
    return select(JobRow.id).where(JobRow.status.not_in([status.value for status in FINISHED]))


def busy_jobs() -> CompoundSelect[str]:
    """The ids of the unfinished jobs, and of all jobs that belong to the same stories."""
    unfinished = unfinished_jobs()
    first = func.coalesce(RemediationRow.evaluation_id, EvaluationRow.id)
    beginnings = union(
        select(first.label("id"))
        .select_from(EvaluationRow)
        .outerjoin(RemediationRow, RemediationRow.id == EvaluationRow.remediation_id)
        .where(EvaluationRow.id.in_(unfinished)),
        select(RemediationRow.evaluation_id).where(RemediationRow.id.in_(unfinished)),
    ).subquery()
    repairs = select(RemediationRow.id).where(
        RemediationRow.evaluation_id.in_(select(beginnings.c.id))
    )
    children = select(EvaluationRow.id).where(EvaluationRow.remediation_id.in_(repairs))
    return union(unfinished, select(beginnings.c.id), repairs, children)


def digests_in_work() -> Select[str]:
    """The digests of the checkpoints that unfinished work reads or has made."""
    busy = busy_jobs()
    read = (select(column).where(EvaluationRow.id.in_(busy)) for column in CHECKPOINTS_READ)
    made = select(RemediationRow.checkpoint_id).where(RemediationRow.id.in_(busy))
    ids = union(*read, made)
    parents = select(CheckpointRow.parent_id).where(CheckpointRow.id.in_(ids))  # safe_merge's
    return select(CheckpointRow.digest).where(
        CheckpointRow.id.in_(ids) | CheckpointRow.id.in_(parents)
    )


def digests_of_aliases() -> Select[str]:
    """The digests of the checkpoints that an alias of any project points at now."""
    later = BaselineMove.__table__.alias()
    is_latest = ~(
        select(later.c.version)
        .where(
            later.c.project == BaselineMove.project,
            later.c.alias == BaselineMove.alias,
            later.c.version > BaselineMove.version,
        )
        .exists()
    )
    ids = select(BaselineMove.checkpoint_id).where(is_latest)
    parents = select(CheckpointRow.parent_id).where(CheckpointRow.id.in_(ids))
    return select(CheckpointRow.digest).where(
        CheckpointRow.id.in_(ids) | CheckpointRow.id.in_(parents)
    )


def old_jobs(before: datetime) -> Select[str]:
    """The ids of the jobs that finished earlier, in stories of which nothing waits or runs."""
    return select(JobRow.id).where(JobRow.finished_at < before, JobRow.id.not_in(busy_jobs()))


def lock_old_job(session: Session, job_id: str, before: datetime) -> bool:
    """Whether a job is among the old ones; nobody claims or retries it until the commit."""
    session.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())
    return session.scalar(old_jobs(before).where(JobRow.id == job_id)) is not None
