"""Which repair comes next: the policy's recipes in their order, each once, within the budget."""

from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.evaluations import create_remediation, get_evaluation, remediations_of
from holdfast.db.tables import PolicyText
from holdfast.policy_text import parse_policy


def next_repair(session: Session, evaluation_id: str) -> bool:
    """Queue, or propose, the next recipe for a failing evaluation; True if something was queued."""
    row = get_evaluation(session, evaluation_id)
    text = session.get_one(PolicyText, row.policy_id)
    wanted = parse_policy(text.text, source=text.name).remediation
    tried = [one.recipe for one in remediations_of(session, evaluation_id)]
    left = [recipe for recipe in wanted.recipes if recipe not in tried]
    if not left or len(tried) >= wanted.budget.candidates:
        return False
    if wanted.on_fail == "propose":
        jobs.add_event(session, evaluation_id, "remediation_proposed", {"recipe": left[0]})
    if wanted.on_fail != "auto":
        return False
    minutes = wanted.budget.minutes
    create_remediation(session, evaluation_id, recipe=left[0], options={}, minutes=minutes)
    return True
