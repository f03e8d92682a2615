"""Evaluations and remediations: the job row and what it is about, written and read together."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from holdfast.db.documents import Account, Race
from holdfast.db.jobs import add_event, now
from holdfast.db.tables import EvaluationRow, EventRow, JobRow, RemediationRow
from holdfast.errors import NotFound
from holdfast.ids import new_id
from holdfast.job import DEADLINE_SECONDS, WAITING_SECONDS, EventKind, JobKind, Split, Status, Tier
from holdfast.verdict.terms import Terms


@dataclass(frozen=True, slots=True)
class EvaluationFields:
    """The checkpoints, policy and settings of an evaluation that is to be queued.

    `repairs_id` names the failing checkpoint that was repaired, `anchor_id` a second baseline;
    `terms` are the project's; `cause` is the CI run that submitted it, `line` the alias that its
    baseline was named by.
    """

    project: str
    queue: str
    candidate_id: str
    baseline_id: str
    policy_id: str
    tier: Tier
    split: Split = "screen"
    template: str = "baseline"
    template_arguments: dict[str, Any] | None = None
    task_data: str | None = None
    task_data_sha256: str | None = None
    anchor_id: str | None = None
    repairs_id: str | None = None
    remediation_id: str | None = None
    race: Race | None = None
    terms: Terms | None = None
    cause: dict[str, Any] | None = None
    labels: dict[str, Any] | None = None
    line: str | None = None
    priority: int = 0
    key_id: str | None = None
    principal: str | None = None


FIELDS = tuple(field.name for field in fields(EvaluationFields))
OF_JOB = ("project", "queue", "priority", "key_id", "principal")  # columns of the job's row


def fields_of(job: JobRow, evaluation: EvaluationRow) -> EvaluationFields:
    """The fields that an evaluation was queued with, to queue another like it."""
    return EvaluationFields(
        **{name: getattr(job if name in OF_JOB else evaluation, name) for name in FIELDS}
    )


def create_evaluation(session: Session, new: EvaluationFields) -> str:
    """Queue an evaluation; the id is returned, the caller sends the hint after commit."""
    owner = {name: getattr(new, name) for name in OF_JOB}
    job_id = _create_job(session, JobKind.EVALUATION, owner)
    about = {name: getattr(new, name) for name in FIELDS if name not in OF_JOB}
    session.add(EvaluationRow(id=job_id, manifests={}, cost=Account(), **about))
    session.flush()
    return job_id


def create_remediation(
    session: Session,
    evaluation_id: str,
    *,
    recipe: str,
    options: dict[str, Any],
    minutes: float | None = None,
    parent_id: str | None = None,
    **submitter: str | None,
) -> str:
    """Queue the repair of an evaluation's candidate; `minutes` is the policy's budget for it.

    `parent_id` names the ladder whose try it is; `submitter` is a `key_id` and a `principal`, those
    of the evaluation where nobody asked for the repair by hand.
    """
    job = get_job(session, evaluation_id)
    owner = {name: getattr(job, name) for name in OF_JOB} | submitter
    job_id = _create_job(session, JobKind.REMEDIATION, owner)
    if minutes is not None:
        made = get_job(session, job_id)
        made.run_seconds = 60 * minutes
    session.add(
        RemediationRow(
            id=job_id,
            evaluation_id=evaluation_id,
            recipe=recipe,
            options=options,
            progress={},
            parent_id=parent_id,
        )
    )
    announcement = {"id": job_id, "recipe": recipe, **({"options": options} if parent_id else {})}
    add_event(
        session,
        parent_id or evaluation_id,
        EventKind.TRY if parent_id else EventKind.REMEDIATION,
        announcement,
    )
    session.flush()
    return job_id


def _create_job(session: Session, kind: JobKind, owner: dict[str, Any]) -> str:
    moment = now(session)
    job_id = new_id("eval" if kind is JobKind.EVALUATION else "rem")
    session.add(
        JobRow(
            id=job_id,
            **owner,
            kind=kind.value,
            status=Status.QUEUED.value,
            created_at=moment,
            deadline_at=moment + timedelta(seconds=WAITING_SECONDS),
            run_seconds=DEADLINE_SECONDS,
            hinted_at=moment,  # the caller's own hint; the sweeper repeats it when it got lost
            lease_epoch=0,
            attempts=0,
            crash_count=0,
            losses=0,
        )
    )
    session.flush()
    add_event(session, job_id, EventKind.QUEUED, {})
    return job_id


def get_job(session: Session, job_id: str, *, project: str | None = None) -> JobRow:
    """The job's row; NotFound when there is none, or none in this project."""
    job = session.get(JobRow, job_id)
    if job is None or (project is not None and job.project != project):
        raise NotFound(f"no job {job_id} in this project")
    return job


def get_evaluation(session: Session, evaluation_id: str) -> EvaluationRow:
    """The row of an evaluation; NotFound when there is none."""
    evaluation = session.get(EvaluationRow, evaluation_id)
    if evaluation is None:
        raise NotFound(f"no evaluation {evaluation_id}")
    return evaluation


def get_remediation(session: Session, remediation_id: str) -> RemediationRow:
    """The row of a repair; NotFound when there is none."""
    remediation = session.get(RemediationRow, remediation_id)
    if remediation is None:
        raise NotFound(f"no remediation {remediation_id}")
    return remediation


def origin_of(session: Session, remediation_id: str) -> str:
    """The evaluation that failed and that this repair answers."""
    return get_remediation(session, remediation_id).evaluation_id


def remediations_of(session: Session, evaluation_id: str) -> Sequence[RemediationRow]:
    """The repairs that were asked for a failing evaluation, oldest first; no ladder's tries."""
    query = select(RemediationRow).where(
        RemediationRow.evaluation_id == evaluation_id, RemediationRow.parent_id.is_(None)
    )
    return session.scalars(query.order_by(RemediationRow.id)).all()


def tries_of(session: Session, remediation_id: str) -> Sequence[RemediationRow]:
    """The tries of a ladder, oldest first."""
    query = select(RemediationRow).where(RemediationRow.parent_id == remediation_id)
    return session.scalars(query.order_by(RemediationRow.id)).all()


def evaluations_of(session: Session, remediation_id: str) -> dict[str, EvaluationRow]:
    """The evaluations of one repair by their split: at most one of each."""
    query = select(EvaluationRow).where(EvaluationRow.remediation_id == remediation_id)
    return {row.split: row for row in session.scalars(query)}


def confirmations_of(session: Session, candidate_id: str) -> int:
    """How often the held-out items have been opened for repairs of this failing checkpoint."""
    query = select(func.count()).select_from(EvaluationRow)
    count: int = session.execute(
        query.where(EvaluationRow.repairs_id == candidate_id, EvaluationRow.split == "confirm")
    ).scalar_one()
    return count


def events_after(
    session: Session, job_id: str, seq: int, *, limit: int = 200
) -> Sequence[EventRow]:
    """A job's events after a sequence number, in order."""
    query = select(EventRow).where(EventRow.job_id == job_id, EventRow.seq > seq)
    return session.scalars(query.order_by(EventRow.seq).limit(limit)).all()
