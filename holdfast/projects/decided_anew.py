"""Verdicts that are decided anew from the stored evidence, as waivers come and end.

The verdict that was there stays beside the new one, which names it by its digest. A waiver that is
given or revoked decides anew, and so does the end of any that a verdict stands on, also one of a
policy's text: nothing passes by a waiver that is over. The sweeper looks for those, and every
reader does before it reads.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time

from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.orm import Session

from holdfast.db.jobs import add_event, now
from holdfast.db.session import reading, transaction
from holdfast.db.tables import CheckpointRow, EvaluationRow, JobRow
from holdfast.db.trials import read_back
from holdfast.errors import HoldfastError
from holdfast.evidence.manifest import Manifest
from holdfast.job import EventKind
from holdfast.projects.audit import Actor, record
from holdfast.projects.retention.archive import was_archived
from holdfast.projects.tables import EarlierVerdict
from holdfast.projects.waivers import judged_evaluations, policy_of, terms_in_force, valid_rows
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from holdfast.verdict.terms import is_unwaivable

WAIVED = '"outcome":"waived"'  # in the canonical bytes of a verdict
FAILING = "repaired"  # stored name of the failing checkpoint that the candidate was made from


def decide_again(session: Session, project: str, digest: str) -> list[EvaluationRow]:
    """Decide every judged evaluation of a checkpoint from its stored evidence, as things stand now.

    Returns those whose verdict document is another; the document before stays beside it. Those
    whose evidence was archived stay as they are: no trials were removed while a waiver held.
    """
    judged = [row for row in judged_evaluations(session, project, digest) if not was_archived(row)]
    return [
        row for row in judged if _change(session, row, _verdict_now(session, row, project, digest))
    ]


def decide_lapsed(database: Engine) -> list[str]:
    """Decide anew what stands on a waiver that is over; the evaluations with another verdict.

    What cannot be decided any more, since its evidence is archived or broken, is inconclusive.
    """
    with reading(database) as session:
        due = lapsed_evaluations(session)
    changed = []
    for evaluation_id in due:
        with transaction(database) as session:
            if _decide_if_lapsed(session, evaluation_id):
                changed.append(evaluation_id)
    return changed


def lapsed_evaluations(session: Session) -> Sequence[str]:
    """The evaluations whose verdict stands on a waiver that is over."""
    return session.scalars(select(EvaluationRow.id).where(_lapsed(session))).all()


def waived_until(session: Session, row: EvaluationRow, verdict: Verdict) -> datetime | None:
    """When the first waiver ends that a verdict stands on; None for one that stands on none.

    Now, where one of them does not hold any more: it was revoked while the verdict was decided.
    """
    checks = {check.id for check in verdict.checks if check.outcome == "waived"}
    if not checks:
        return None
    moment = now(session)
    ends = list(_ends(session, row, moment))
    return min(
        min((end for check, end in ends if check == name), default=moment) for name in checks
    )


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


def _decide_if_lapsed(session: Session, evaluation_id: str) -> bool:
    query = select(EvaluationRow).where(EvaluationRow.id == evaluation_id, _lapsed(session))
    row = session.scalar(query.with_for_update(of=EvaluationRow))
    if row is None:  # somebody else was first
        return False
    project = session.get_one(JobRow, row.id).project
    digest = session.get_one(CheckpointRow, row.candidate_id).digest
    changed = _change(session, row, _verdict_or_doubt(session, row, project, digest))
    if changed:
        actor = Actor(project, None, authenticated="server")
        record(session, actor, "waiver.end", row.id, after={"verdict": row.verdict})
    return changed


def _lapsed(session: Session) -> ColumnElement[bool]:
    """By the clock of `now`, without asking the database for it first: every reader asks this."""
    is_postgres = session.get_bind().dialect.name == "postgresql"
    return EvaluationRow.waived_until <= (
        func.clock_timestamp() if is_postgres else datetime.now(UTC)
    )


def _ends(session: Session, row: EvaluationRow, moment: datetime) -> Iterator[tuple[str, datetime]]:
    """Each waiver that counts for an evaluation at a moment: its check, and when it ends."""
    project = session.get_one(JobRow, row.id).project
    digest = session.get_one(CheckpointRow, row.candidate_id).digest
    terms = terms_in_force(session, row, project, digest)
    for waiver in terms.model_copy(update={"given": ()}).waivers(policy_of(session, row)):
        if waiver.holds(moment):
            yield waiver.check, datetime.combine(waiver.expires, time.max, UTC)
    for given in valid_rows(session, project, digest):
        if not is_unwaivable(given.check_id, terms.unwaivable):
            yield given.check_id, given.expires_at


def _verdict_or_doubt(session: Session, row: EvaluationRow, project: str, digest: str) -> Verdict:
    """The verdict now; where there is no evidence to decide on, the one before without its pass."""
    if was_archived(row):
        return _without_waivers(row, "its evidence is archived")
    try:
        return _verdict_now(session, row, project, digest)
    except (HoldfastError, ValueError) as error:  # ValueError: rows that are no evidence
        return _without_waivers(row, f"its evidence cannot be read ({type(error).__name__})")


def _without_waivers(row: EvaluationRow, why: str) -> Verdict:
    before = Verdict.model_validate_json(row.verdict_document or "")
    over = f"a waiver is over and {why}; evaluate the checkpoint again"
    checks = tuple(
        check.model_copy(update={"outcome": "inconclusive", "reason": f"{over} ({check.reason})"})
        if check.outcome == "waived"
        else check
        for check in before.checks
    )
    decision = "fail" if before.verdict == "fail" else "inconclusive"
    update = {"verdict": decision, "reasons": (over,), "checks": checks, "waivers_applied": ()}
    return before.model_copy(update=update)


def _verdict_now(session: Session, row: EvaluationRow, project: str, digest: str) -> Verdict:
    evidence = {
        side: read_back(session, row.id, side, Manifest.model_validate(document))
        for side, document in row.manifests.items()
    }
    return decide(
        policy_of(session, row),
        evidence["baseline"],
        evidence["candidate"],
        repaired_from=evidence.get(FAILING),
        anchor=evidence.get("anchor"),
        as_of=now(session),
        terms=terms_in_force(session, row, project, digest),
    )


def _change(session: Session, row: EvaluationRow, after: Verdict) -> bool:
    """Put a verdict in the place of the one before, unless it says the same; whether it did."""
    before = Verdict.model_validate_json(row.verdict_document or "")
    changed = after.checks != before.checks or after.warnings != before.warnings
    if changed:
        _supersede(session, row, before, after)
    row.waived_until = waived_until(session, row, after)
    session.flush()
    return changed


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
