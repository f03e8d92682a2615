"""Waivers that are given apart from a policy: by whom, for which checkpoint, and until when.

One that comes after a verdict decides the stored evidence anew. The verdict that was there stays
beside the new one, which names it by its digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.jobs import add_event, now
from holdfast.db.tables import CheckpointRow, EvaluationRow, JobRow, PolicyText
from holdfast.db.trials import read_back
from holdfast.errors import Conflict, Forbidden, InvalidPolicy, NotFound
from holdfast.evidence.manifest import Manifest
from holdfast.ids import new_id
from holdfast.job import EventKind
from holdfast.policy.model import GatePolicy, Waiver
from holdfast.policy.text import parse_policy
from holdfast.projects.retention.archive import was_archived
from holdfast.projects.rules import find_project, rules_of
from holdfast.projects.tables import EarlierVerdict, WaiverRow
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from holdfast.verdict.terms import AS_SUBMITTED, Terms

WAIVED = '"outcome":"waived"'  # in the canonical bytes of a verdict
FAILING = "repaired"  # stored name of the failing checkpoint that the candidate was made from


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
    if new.check in rules.unwaivable:
        raise Forbidden(f"project {project} waives {new.check} for nobody")
    latest = moment + timedelta(days=rules.waiver_days)
    if not moment < new.expires_at <= latest:
        raise InvalidPolicy(
            f"the waiver would expire at {new.expires_at.isoformat()}; expected a time from now to "
            f"{latest.isoformat()}, {rules.waiver_days} days being the most that the project allows"
        )
    if not any(new.check in _checks(session, row) for row in _judged(session, project, new.digest)):
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


def valid_waivers(session: Session, project: str, digest: str) -> tuple[Waiver, ...]:
    """The waivers that hold for a checkpoint now, in the form in which policies have them."""
    query = select(WaiverRow).where(
        WaiverRow.project == project,
        WaiverRow.digest == digest,
        WaiverRow.revoked_at.is_(None),
        WaiverRow.expires_at > now(session),
    )
    return tuple(
        Waiver(
            check=row.check_id, owner=row.owner, reason=row.reason, expires=row.expires_at.date()
        )
        for row in session.scalars(query.order_by(WaiverRow.id))
    )


def terms_in_force(session: Session, row: EvaluationRow, project: str, digest: str) -> Terms:
    """The terms as they were at submission, with the waivers that hold now.

    What the project has come to waive for nobody is not waived by what came before either.
    """
    terms, rules = row.terms or AS_SUBMITTED, rules_of(find_project(session, project))
    given = valid_waivers(session, project, digest)
    unwaivable = tuple(sorted({*terms.unwaivable, *rules.unwaivable}))
    return terms.model_copy(update={"given": given, "unwaivable": unwaivable})


def decide_again(session: Session, project: str, digest: str) -> list[EvaluationRow]:
    """Decide every judged evaluation of a checkpoint from its stored evidence, as things stand now.

    Returns those whose verdict document is another; the document before stays beside it. Those
    whose evidence was archived stay as they are: no trials were removed while a waiver held.
    """
    changed = []
    for row in _judged(session, project, digest):
        if was_archived(row):
            continue
        before = Verdict.model_validate_json(row.verdict_document or "")
        after = _verdict_now(session, row, project, digest)
        if after.checks == before.checks and after.warnings == before.warnings:
            continue
        _supersede(session, row, before, after)
        changed.append(row)
    return changed


def waived_digests(session: Session, project: str) -> Sequence[str]:
    """The checkpoints of a project that have a verdict in which a check is waived."""
    query = (
        select(CheckpointRow.digest)
        .join(EvaluationRow, EvaluationRow.candidate_id == CheckpointRow.id)
        .where(CheckpointRow.project == project, EvaluationRow.verdict_document.contains(WAIVED))
        .distinct()
    )
    return session.scalars(query).all()


def earlier_verdicts(session: Session, evaluation_id: str) -> Sequence[EarlierVerdict]:
    """The verdicts that others took the place of, oldest first."""
    query = select(EarlierVerdict).where(EarlierVerdict.evaluation_id == evaluation_id)
    return session.scalars(query.order_by(EarlierVerdict.number)).all()


def _judged(session: Session, project: str, digest: str) -> Sequence[EvaluationRow]:
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


def _checks(session: Session, row: EvaluationRow) -> frozenset[str]:
    return frozenset(_policy(session, row).checks)


def _policy(session: Session, row: EvaluationRow) -> GatePolicy:
    text = session.get_one(PolicyText, row.policy_id)
    return parse_policy(text.text, source=text.name)


def _verdict_now(session: Session, row: EvaluationRow, project: str, digest: str) -> Verdict:
    evidence = {
        side: read_back(session, row.id, side, Manifest.model_validate(document))
        for side, document in row.manifests.items()
    }
    return decide(
        _policy(session, row),
        evidence["baseline"],
        evidence["candidate"],
        repaired_from=evidence.get(FAILING),
        anchor=evidence.get("anchor"),
        as_of=now(session),
        terms=terms_in_force(session, row, project, digest),
    )


def _supersede(session: Session, row: EvaluationRow, before: Verdict, after: Verdict) -> None:
    """Keep the verdict that was there and put the new one, which names it, in its place."""
    number = len(earlier_verdicts(session, row.id)) + 1
    session.add(
        EarlierVerdict(
            evaluation_id=row.id,
            number=number,
            document=row.verdict_document,
            superseded_at=now(session),
        )
    )
    named = after.model_copy(update={"supersedes": before.digest, "cost": before.cost})
    row.verdict, row.verdict_document = named.verdict, named.to_json().decode()
    document = {"verdict": named.verdict, "reasons": list(named.reasons)}
    add_event(session, row.id, EventKind.VERDICT, document)
    session.flush()
