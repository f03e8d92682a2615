"""Who stands behind a checkpoint, for projects in which two people are wanted.

Whoever submitted it does, and whoever asked for the repair that made it, and whoever stands behind
what was repaired. A principal is a person's name, or the id of a key that nobody made for a person;
two that nobody told apart count as one.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.catalogue import get_checkpoint
from holdfast.db.tables import ApiKey, BaselineMove, EvaluationRow, JobRow, RemediationRow
from holdfast.errors import Forbidden
from holdfast.ids import is_id
from holdfast.principals import comparable
from holdfast.projects.tables import ProjectRow

Person = str | None


def people_behind(session: Session, project: str, checkpoint_id: str) -> set[Person]:
    """Everybody behind a checkpoint: its submitters, and its authors; None for the nameless."""
    query = select(JobRow.principal).join(EvaluationRow, EvaluationRow.id == JobRow.id)
    submitted = query.where(JobRow.project == project, EvaluationRow.candidate_id == checkpoint_id)
    return {*session.scalars(submitted)} | authors_of(session, project, checkpoint_id)


def authors_of(session: Session, project: str, checkpoint_id: str) -> set[Person]:
    """Whoever asked for a repair that made a checkpoint, and whoever is behind what was repaired.

    Nobody for a checkpoint that no repair made.
    """
    authors: set[Person] = set()
    waiting, seen = [checkpoint_id], set[str]()
    while waiting:
        made = waiting.pop()
        if made in seen:
            continue
        seen.add(made)
        query = select(JobRow.principal, RemediationRow.evaluation_id).join(
            RemediationRow, RemediationRow.id == JobRow.id
        )
        repairs = query.where(JobRow.project == project, RemediationRow.checkpoint_id == made)
        for asker, failing_id in session.execute(repairs):
            failing = session.get_one(EvaluationRow, failing_id)
            authors |= {asker, session.get_one(JobRow, failing_id).principal}
            waiting.append(failing.candidate_id)
    return authors


def may_be_one_person(first: Person, second: Person) -> bool:
    """Whether two principals may be the same: so they may where either is nobody's name."""
    named = {
        comparable(who) for who in (first, second) if who is not None and not is_id(who, "key")
    }
    return len(named) < 2


def may_be_one_of(person: Person, people: set[Person]) -> bool:
    """Whether a principal may be the same as one of others."""
    return any(may_be_one_person(person, other) for other in people)


def mover_of(session: Session, move: BaselineMove) -> Person:
    """Who pointed an alias where it points; None where no key is known to have done it."""
    key = session.get(ApiKey, move.actor)
    return None if key is None else key.principal


def require_another_person(
    session: Session, rules: ProjectRow | None, checkpoint_id: str, person: Person, act: str
) -> None:
    """Forbidden where duties are separate and whoever acts may stand behind the checkpoint."""
    if rules is None or not rules.separate_duties:
        return
    get_checkpoint(session, rules.name, checkpoint_id)
    if may_be_one_of(person, people_behind(session, rules.name, checkpoint_id)):
        raise Forbidden(
            f"project {rules.name} wants two people: whoever submitted {checkpoint_id}, or had it "
            f"repaired, may not {act}; use a key that was made for somebody else "
            "(`holdfast keys create --principal`)"
        )
