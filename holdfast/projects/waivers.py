"""Waivers that are given apart from a policy: by whom, for which checkpoint, and until when.

One that comes after a verdict decides the stored evidence anew (`decided_anew`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.jobs import now
from holdfast.db.tables import CheckpointRow, EvaluationRow, JobRow, PolicyText
from holdfast.errors import Conflict, Forbidden, InvalidPolicy, NotFound
from holdfast.ids import new_id
from holdfast.policy.model import GatePolicy, Waiver
from holdfast.policy.text import parse_policy
from holdfast.projects.people import authors_of, may_be_one_of
from holdfast.projects.rules import find_project, rules_of
from holdfast.projects.tables import WaiverRow
from holdfast.verdict.terms import AS_SUBMITTED, Terms, is_unwaivable


@dataclass(frozen=True, slots=True)
class WaiverFields:
    """A waiver that somebody wants to give: the check, the checkpoint's digest, why, until when."""

    check: str
    digest: str
    reason: str
    expires_at: datetime


def give_waiver(session: Session, project: str, new: WaiverFields, *, owner: str) -> WaiverRow:
    """Store a waiver; the caller decides the checkpoint's evaluations anew with `decide_again`.

    Raises Forbidden for a check that the project never waives, InvalidPolicy for an expiry that is
    past or too far, and NotFound where no evaluation of this checkpoint asks the check.
    """
    rules, moment = rules_of(find_project(session, project)), now(session)
    if is_unwaivable(new.check, rules.unwaivable):
        raise Forbidden(f"project {project} waives {new.check} for nobody")
    latest = moment + timedelta(days=rules.waiver_days)
    if not moment < new.expires_at <= latest:
        raise InvalidPolicy(
            f"the waiver would expire at {new.expires_at.isoformat()}; expected a time from now to "
            f"{latest.isoformat()}, {rules.waiver_days} days being the most that the project allows"
        )
    if not any(
        new.check in _checks(session, row)
        for row in judged_evaluations(session, project, new.digest)
    ):
        raise NotFound(
            f"no evaluation of {new.digest} in project {project} has a verdict on {new.check}; "
            "a waiver covers a check that was judged"
        )
    row = WaiverRow(
        id=new_id("wvr"),
        project=project,
        check_id=new.check,
        digest=new.digest,
        reason=new.reason,
        owner=owner,
        expires_at=new.expires_at,
        created_at=moment,
    )
    session.add(row)
    session.flush()
    return row


def revoke_waiver(session: Session, project: str, waiver_id: str) -> WaiverRow:
    """End a waiver at once; the caller decides anew. Conflict where it was revoked already."""
    row = get_waiver(session, project, waiver_id)
    if row.revoked_at is not None:
        raise Conflict(f"{waiver_id} was revoked at {row.revoked_at.isoformat()} already")
    row.revoked_at = now(session)
    session.flush()
    return row


def get_waiver(session: Session, project: str, waiver_id: str) -> WaiverRow:
    """A project's waiver; NotFound when there is none of that id in this project."""
    row = session.get(WaiverRow, waiver_id, with_for_update=True)
    if row is None or row.project != project:
        raise NotFound(f"no waiver {waiver_id} in project {project}")
    return row


def list_waivers(
    session: Session, project: str, *, limit: int, before: str | None = None
) -> Sequence[WaiverRow]:
    """A project's waivers, newest first, the revoked ones too."""
    query = select(WaiverRow).where(WaiverRow.project == project)
    if before is not None:
        query = query.where(WaiverRow.id < before)
    return session.scalars(query.order_by(WaiverRow.id.desc()).limit(limit)).all()


def _as_in_policies(row: WaiverRow) -> Waiver:
    day = row.expires_at.date()
    return Waiver(check=row.check_id, owner=row.owner, reason=row.reason, expires=day)


def valid_rows(session: Session, project: str, digest: str) -> Sequence[WaiverRow]:
    """The waivers that hold for a checkpoint now, oldest first."""
    query = select(WaiverRow).where(
        WaiverRow.project == project,
        WaiverRow.digest == digest,
        WaiverRow.revoked_at.is_(None),
        WaiverRow.expires_at > now(session),
    )
    return session.scalars(query.order_by(WaiverRow.id)).all()


def terms_in_force(session: Session, row: EvaluationRow, project: str, digest: str) -> Terms:
    """The terms as they were at submission, with the waivers that hold now.

    What the project has come to waive for nobody is not waived by what came before either; where it
    wants two people, nobody's waiver counts for what they submitted or had repaired themselves.
    """
    terms, rules = row.terms or AS_SUBMITTED, rules_of(find_project(session, project))
    rows = valid_rows(session, project, digest)
    if rules.separate_duties:
        submitter = session.get_one(JobRow, row.id).principal
        people = {submitter} | authors_of(session, project, row.candidate_id)
        rows = [given for given in rows if not may_be_one_of(given.owner, people)]
    given = tuple(map(_as_in_policies, rows))
    unwaivable = tuple(sorted({*terms.unwaivable, *rules.unwaivable}))
    return terms.model_copy(update={"given": given, "unwaivable": unwaivable})


def judged_evaluations(session: Session, project: str, digest: str) -> Sequence[EvaluationRow]:
    """The evaluations of a checkpoint that have a verdict, oldest first."""
    query = (
        select(EvaluationRow)
        .join(JobRow, JobRow.id == EvaluationRow.id)
        .join(CheckpointRow, CheckpointRow.id == EvaluationRow.candidate_id)
        .where(JobRow.project == project, CheckpointRow.digest == digest)
        .where(EvaluationRow.verdict_document.is_not(None))
    )
    # locked: nobody archives the evidence while it is decided on
    locked = query.order_by(EvaluationRow.id).with_for_update(of=EvaluationRow)
    return session.scalars(locked.execution_options(populate_existing=True)).all()


def policy_of(session: Session, row: EvaluationRow) -> GatePolicy:
    """The policy of an evaluation."""
    text = session.get_one(PolicyText, row.policy_id)
    return parse_policy(text.text, source=text.name)


def _checks(session: Session, row: EvaluationRow) -> frozenset[str]:
    return frozenset(policy_of(session, row).checks)
