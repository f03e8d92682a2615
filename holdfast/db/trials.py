"""Answers (what models said, cached by content) and trials (what the judges made of them).

Both are insert-once: a second writer of the same key changes nothing, so a resumed, doubled or
racing worker leaves the same rows behind. Evidence is not stored: it is these rows, read back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.jobs import Lease, now
from holdfast.db.session import insert_into
from holdfast.db.tables import AnswerRow, TableRow, TrialRow
from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.manifest import Manifest
from holdfast.evidence.trial import Measure, Outcome, Trial
from holdfast.probes.table import spec_of

PAGE = 400  # bound parameters of one statement; SQLite allows 32,766

MEASURE_WITH_TRIAL = "beside"  # the variant of a measure whose item has a trial as well


@dataclass(frozen=True, slots=True)
class Saved:
    """A trial or measure, and the key of the answer that it judges."""

    finding: Trial | Measure
    answer_key: str


def find_answers(session: Session, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The cached answers among `keys`."""
    documents: dict[str, dict[str, Any]] = {}
    for start in range(0, len(keys), PAGE):
        query = select(AnswerRow.key, AnswerRow.document).where(
            AnswerRow.key.in_(keys[start : start + PAGE])
        )
        documents.update((key, document) for key, document in session.execute(query))
    return documents


def has_answers(session: Session, checkpoint_digest: str) -> bool:
    """Whether anything that this checkpoint answered is cached."""
    found = select(AnswerRow.key).where(AnswerRow.checkpoint_digest == checkpoint_digest).limit(1)
    return session.scalar(found) is not None


def save_answers(
    session: Session, checkpoint_digest: str, answers: Iterable[tuple[str, dict[str, Any]]]
) -> None:
    """Put answers into the cache; one that is there already stays as it is."""
    moment = now(session)
    rows = [
        {
            "key": key,
            "checkpoint_digest": checkpoint_digest,
            "document": document,
            "created_at": moment,
        }
        for key, document in answers
    ]
    _insert_once(session, AnswerRow, rows)


def save_trials(
    session: Session, lease: Lease, evaluation_id: str, side: str, saved: Iterable[Saved]
) -> None:
    """Write one side's trials and measures; call `jobs.fence` first in the same transaction."""
    common = {"evaluation_id": evaluation_id, "side": side, "lease_epoch": lease.epoch}
    rows = [
        {**common, "answer_key": entry.answer_key, **_columns(entry.finding)} for entry in saved
    ]
    _insert_once(session, TrialRow, rows)


def _columns(finding: Trial | Measure) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(
        ("cluster", "group", "outcome", "badness", "reason", "value", "weight", "unit")
    )
    shared = {"probe": finding.probe, "item": finding.item, "variant": "plain"}
    if isinstance(finding, Measure):
        fields: dict[str, Any] = {
            "variant": "plain" if spec_of(finding.probe).measure else MEASURE_WITH_TRIAL,
            "value": finding.value,
            "weight": finding.weight,
            "unit": finding.unit,
        }
    else:
        fields = {
            "variant": finding.variant,
            "cluster": finding.cluster,
            "group": finding.group,
            "outcome": finding.outcome.value,
            "badness": finding.badness,
            "reason": finding.reason,
        }
    return {**empty, **shared, **fields}


def saved_items(session: Session, evaluation_id: str, side: str) -> dict[tuple[str, str, str], str]:
    """The answer's key by (probe, item, variant), of everything that this side has already."""
    query = select(TrialRow.probe, TrialRow.item, TrialRow.variant, TrialRow.answer_key).where(
        TrialRow.evaluation_id == evaluation_id, TrialRow.side == side
    )
    rows = session.execute(query)
    return {(probe, item, variant): key for probe, item, variant, key in rows}


def trial_rows(session: Session, evaluation_id: str, side: str) -> Sequence[TrialRow]:
    """One side's rows, in a stable order."""
    query = select(TrialRow).where(TrialRow.evaluation_id == evaluation_id, TrialRow.side == side)
    return session.scalars(query.order_by(TrialRow.probe, TrialRow.item, TrialRow.variant)).all()


def read_back(session: Session, evaluation_id: str, side: str, manifest: Manifest) -> Evidence:
    """One side's evidence, from its rows and its manifest."""
    rows = trial_rows(session, evaluation_id, side)
    trials = tuple(_trial(row) for row in rows if row.outcome is not None)
    measures = tuple(_measure(row) for row in rows if row.outcome is None)
    return gather(manifest, trials, measures)


def _trial(row: TrialRow) -> Trial:
    if row.outcome is None:
        raise ValueError(f"row {row.probe}/{row.item} is a measure, no trial")
    return Trial(
        probe=row.probe,
        item=row.item,
        cluster=row.cluster or row.item,
        outcome=Outcome(row.outcome),
        badness=row.badness,
        variant=row.variant,
        group=row.group,
        reason=row.reason,
    )


def _measure(row: TrialRow) -> Measure:
    if row.value is None or row.weight is None or row.unit is None:
        raise ValueError(f"row {row.probe}/{row.item} is neither a trial nor a measure")
    return Measure(row.probe, row.item, row.value, row.weight, row.unit)


def _insert_once(session: Session, table: type[TableRow], rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), PAGE):
        page = rows[start : start + PAGE]
        session.execute(insert_into(session, table).values(page).on_conflict_do_nothing())
