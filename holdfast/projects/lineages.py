"""Reads from the database what a lineage forgot: parents are registered, evidence is kept.

A chain begins at the oldest ancestor that was ever asked anything, or at an anchor that is named; a
checkpoint without evidence between others is an error, since a step over it would hide a stage. Of
each checkpoint the newest evidence counts that may be compared with that of the last one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from holdfast.db.catalogue import get_checkpoint
from holdfast.db.tables import CheckpointRow, EvaluationRow
from holdfast.db.trials import read_back
from holdfast.errors import Conflict, NotFound
from holdfast.evidence.file import Evidence
from holdfast.evidence.manifest import Manifest
from holdfast.projects.retention.archive import refuse_archived
from holdfast.readings.chain import Chain, OrderEffect, chain_of, order_effect_of
from holdfast.verdict.comparability import differences

LONGEST = 32  # checkpoints of one reading: each is the evidence of an evaluation
SIDES = {
    "candidate": EvaluationRow.candidate_id,
    "baseline": EvaluationRow.baseline_id,
    "anchor": EvaluationRow.anchor_id,
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where one checkpoint's complete evidence is: an evaluation, and which of its sides."""

    evaluation_id: str
    side: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class OtherOrder:
    """The last checkpoint of the same two stages in the other order, and what each was to teach."""

    checkpoint_id: str
    safety: str
    capability: str


def read_chain(
    session: Session,
    project: str,
    checkpoint_id: str,
    *,
    anchor_id: str | None = None,
    other: OtherOrder | None = None,
) -> Chain:
    """Forgetting of each stage up to this checkpoint, and since the first, or since `anchor_id`.

    Raises NotFound where a stage has no evidence or there is no stage, Conflict where the other
    order is not of the same start.
    """
    rows = ancestry(session, project, checkpoint_id, anchor_id)
    sources = dict(_sources(session, rows))
    measured = [row for row in rows if row.id in sources]
    first = rows.index(measured[0]) if measured and anchor_id is None else 0
    stages = rows[first:]
    if len(stages) == 1:
        raise NotFound(
            f"{checkpoint_id} is a chain without a stage: no parent of it that was evaluated is "
            "registered; name one as its `parent`, and evaluate it as a baseline or a candidate"
        )
    for row in stages:
        if row.id not in sources:
            raise NotFound(_no_evidence(row, rows))
    chain = chain_of([_evidence(session, sources[row.id]) for row in stages])
    chain = chain.model_copy(update={"unmeasured": tuple(row.id for row in rows[:first])})
    if other is None:
        return chain
    return chain.model_copy(update={"order": _order(session, project, rows, other)})


def ancestry(
    session: Session, project: str, checkpoint_id: str, anchor_id: str | None = None
) -> list[CheckpointRow]:
    """A checkpoint and what it was made from, oldest first; begins at `anchor_id` if there is one.

    Raises NotFound where the anchor is none of its ancestors, Conflict where they go in a circle or
    are more than LONGEST.
    """
    rows = [get_checkpoint(session, project, checkpoint_id)]
    while rows[-1].id != anchor_id and rows[-1].parent_id is not None:
        parent = get_checkpoint(session, project, rows[-1].parent_id)
        if parent in rows:
            raise Conflict(f"{parent.id} is registered as an ancestor of itself")
        if len(rows) == LONGEST:
            raise Conflict(
                f"{checkpoint_id} has more than {LONGEST - 1} ancestors; name an `anchor` among "
                "the nearest of them to begin the chain at"
            )
        rows.append(parent)
    if anchor_id not in {None, rows[-1].id}:
        raise NotFound(f"{anchor_id} is no ancestor of {checkpoint_id}")
    return rows[::-1]


def _order(
    session: Session, project: str, rows: Sequence[CheckpointRow], other: OtherOrder
) -> OrderEffect:
    theirs = ancestry(session, project, other.checkpoint_id)
    if len(rows) < 3 or len(theirs) < 3 or rows[-3].id != theirs[-3].id:
        raise Conflict(
            f"{rows[-1].id} and {other.checkpoint_id} are not two stages each from one checkpoint, "
            "so there is no order to compare"
        )
    four = (*rows[-2:], *theirs[-2:])
    sources = dict(_sources(session, [*theirs[-2:], *rows[-2:]]))
    for row in four:
        if row.id not in sources:
            raise NotFound(_no_evidence(row, four))
    a, ab, b, ba = (_evidence(session, sources[row.id]) for row in four)
    return order_effect_of((a, ab), (b, ba), safety=other.safety, capability=other.capability)


def _sources(session: Session, rows: Sequence[CheckpointRow]) -> Iterator[tuple[str, Source]]:
    """Each checkpoint's evidence, if it has any; the last one's is what the others should match."""
    last: Manifest | None = None
    for row in reversed(rows):
        found = list(_complete(session, row))
        if not found:
            continue
        last = last or found[0].manifest
        alike = (source for source in found if not differences(source.manifest, last))
        yield row.id, next(alike, found[0])


def _complete(session: Session, row: CheckpointRow) -> Iterator[Source]:
    """Every finished run of a checkpoint whose evidence still is in the database, newest first."""
    is_side: ColumnElement[bool] = or_(*(column == row.id for column in SIDES.values()))
    query = select(EvaluationRow).where(is_side).order_by(EvaluationRow.id.desc())
    for evaluation in session.scalars(query):
        for side, column in SIDES.items():
            document = evaluation.manifests.get(side)
            if getattr(evaluation, column.key) != row.id or document is None:
                continue
            manifest = Manifest.model_validate(document)
            if manifest.complete:
                yield Source(evaluation.id, side, manifest)


def _evidence(session: Session, source: Source) -> Evidence:
    evidence = read_back(session, source.evaluation_id, source.side, source.manifest)
    refuse_archived(session, session.get_one(EvaluationRow, source.evaluation_id))
    return evidence


def _no_evidence(row: CheckpointRow, among: Sequence[CheckpointRow]) -> str:
    return (
        f"stage {among.index(row) + 1} of {len(among)}, {row.id}, has no complete evidence in the "
        "database, so what it forgot is not known; evaluate it as a candidate or a baseline"
    )
