"""A ladder's stake in an evaluation: which checks failed, and where a try of it is dropped."""

from sqlalchemy.orm import Session

from holdfast.db.documents import Race
from holdfast.db.evaluations import evaluations_of, get_evaluation, tries_of
from holdfast.db.tables import EvaluationRow, RemediationRow
from holdfast.ladder.steps import DECISIVE, RACE_ITEMS
from holdfast.projects.next_repair import policy_of
from holdfast.verdict.document import Verdict


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
