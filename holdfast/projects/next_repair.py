"""Which repair comes next, once a job has ended: the policy's recipes in their order, each once.

By whoever sees the end: the worker that did the work, or the sweeper where that was lost.
"""

from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.evaluations import (
    create_remediation,
    get_evaluation,
    get_job,
    origin_of,
    remediations_of,
)
from holdfast.db.tables import EvaluationRow, PolicyText, RemediationRow
from holdfast.job import EventKind, JobKind, Status
from holdfast.ladder.rungs import AUTO
from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy


def go_on(session: Session, job_id: str) -> bool:
    """Queue the job that follows one without a result; True if a worker is to be woken for it."""
    ladder = ladder_of(session, job_id)
    if ladder is not None:
        return jobs.take_up(session, ladder)
    if not _came_to_nothing(session, job_id):
        return False
    return next_repair(session, origin_of(session, job_id))


def _came_to_nothing(session: Session, job_id: str) -> bool:
    """Whether a repair has ended without a checkpoint to gate; to cancel one is no such end."""
    job = get_job(session, job_id)
    ended = job.status in {Status.FAILED.value, Status.TIMED_OUT.value}
    return ended and job.kind == JobKind.REMEDIATION.value


def ladder_of(session: Session, job_id: str) -> str | None:
    """The ladder that this job works for, as a try or as the evaluation of one."""
    evaluation = session.get(EvaluationRow, job_id)
    name = job_id if evaluation is None else evaluation.remediation_id
    repair = session.get(RemediationRow, name) if name else None
    return None if repair is None else repair.parent_id


def next_repair(session: Session, evaluation_id: str) -> bool:
    """Queue, or propose, the next recipe for a failing evaluation; True if something was queued."""
    row = get_evaluation(session, evaluation_id)
    wanted = policy_of(session, row).remediation
    tried = [repair.recipe for repair in remediations_of(session, evaluation_id)]
    untried = [recipe for recipe in wanted.recipes if recipe not in tried]
    if not untried or len(tried) >= wanted.budget.candidates:
        return False
    if wanted.on_fail == "propose":
        jobs.add_event(
            session, evaluation_id, EventKind.REMEDIATION_PROPOSED, {"recipe": untried[0]}
        )
    if wanted.on_fail != "auto":
        return False
    budget = wanted.budget.model_dump()
    arguments = (
        {"options": budget} if untried[0] == AUTO else {"options": {}, "minutes": budget["minutes"]}
    )
    create_remediation(session, evaluation_id, recipe=untried[0], **arguments)
    return True


def policy_of(session: Session, evaluation: EvaluationRow) -> GatePolicy:
    """The policy that an evaluation is judged by."""
    text = session.get_one(PolicyText, evaluation.policy_id)
    return parse_policy(text.text, source=text.name)
