"""Which repair comes next: the policy's recipes in their order, each once, within the budget.

And what a job owes to the ladder (recipe `auto`) whose try it belongs to.
"""

from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.documents import Race
from holdfast.db.evaluations import (
    create_remediation,
    evaluations_of,
    get_evaluation,
    remediations_of,
    tries_of,
)
from holdfast.db.tables import EvaluationRow, PolicyText, RemediationRow
from holdfast.job import EventKind
from holdfast.ladder.rungs import AUTO
from holdfast.ladder.steps import DECISIVE, RACE_ITEMS
from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy
from holdfast.verdict.document import Verdict


def policy_of(session: Session, evaluation: EvaluationRow) -> GatePolicy:
    """The policy that an evaluation is judged by."""
    text = session.get_one(PolicyText, evaluation.policy_id)
    return parse_policy(text.text, source=text.name)


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


def ladder_of(session: Session, job_id: str) -> str | None:
    """The ladder that this job works for, as a try or as the evaluation of one."""
    evaluation = session.get(EvaluationRow, job_id)
    name = job_id if evaluation is None else evaluation.remediation_id
    repair = session.get(RemediationRow, name) if name else None
    return None if repair is None else repair.parent_id


def race_of(session: Session, repair: RemediationRow) -> Race | None:
    """Where a try is dropped if it is hopeless; None for what is to be asked everything.

    The decisive probes are those that repairs are lost by, and those that the failing checkpoint
    did not pass. Once a repair is confirmed nothing races: the front is made of whole figures.
    """
    if repair.parent_id is None or repair.split != "screen":
        return None
    tries = tries_of(session, repair.parent_id)
    if any("confirm" in evaluations_of(session, try_row.id) for try_row in tries):
        return None
    failing = get_evaluation(session, repair.evaluation_id)
    policy = policy_of(session, failing)
    failed = failed_checks(failing)
    blocking = (
        name for name in policy.probes(repair=True) if policy.checks[name].tier != "advisory"
    )
    probes = [name for name in blocking if name in DECISIVE or name in failed]
    return Race(items=RACE_ITEMS, probes=tuple(probes))


def verdict_of(evaluation: EvaluationRow) -> Verdict:
    """The verdict of an evaluation that has one."""
    return Verdict.model_validate_json(evaluation.verdict_document or "")


def failed_checks(evaluation: EvaluationRow) -> frozenset[str]:
    """The checks that an evaluation's verdict says failed."""
    return frozenset(check.id for check in verdict_of(evaluation).checks if check.outcome == "fail")
