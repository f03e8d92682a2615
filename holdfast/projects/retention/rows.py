"""Old rows are removed: answers, events of jobs that are over, and trials that were archived."""

from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from holdfast.db.evaluations import get_job
from holdfast.db.jobs import now
from holdfast.db.session import reading
from holdfast.db.tables import (
    AnswerRow,
    CheckpointRow,
    EvaluationRow,
    EventRow,
    TableRow,
    TrialRow,
)
from holdfast.errors import HoldfastError
from holdfast.projects.audit import record
from holdfast.projects.retention.archive import write_archive
from holdfast.projects.retention.in_use import digests_in_work, lock_old_job, old_jobs
from holdfast.projects.retention.removed import Removed, Run, delete_rows, operator_of, size_of_rows
from holdfast.projects.tables import WaiverRow

PAGE = 500  # rows that one transaction removes


def prune_answers(run: Run) -> Removed:
    """Remove old answers, but for those of checkpoints that unfinished work reads."""
    is_old = AnswerRow.created_at < run.before
    is_free = AnswerRow.checkpoint_digest.not_in(digests_in_work())
    return _remove_pages(run, AnswerRow, AnswerRow.key, is_old & is_free)


def prune_events(run: Run) -> Removed:
    """Remove the events of old jobs; the newest of all stays, so that no number comes again."""
    is_old = EventRow.job_id.in_(old_jobs(run.before)) & (EventRow.created_at < run.before)
    newest = select(func.max(EventRow.seq)).scalar_subquery()
    return _remove_pages(run, EventRow, EventRow.seq, is_old & (EventRow.seq < newest))


def _remove_pages(
    run: Run, table: type[TableRow], key: InstrumentedAttribute[object], where: ColumnElement[bool]
) -> Removed:
    """Remove the rows that fit a condition, a page a transaction."""
    if run.dry_run:
        with reading(run.database) as session:
            return size_of_rows(session, table, where)
    total = Removed()
    while True:
        with run.session() as session:
            page = key.in_(session.scalars(select(key).where(where).limit(PAGE)).all()) & where
            removed = size_of_rows(session, table, page)
            delete_rows(session, table, page)
        if not removed.rows:
            return total
        total += removed


def prune_trials(run: Run) -> Removed:
    """Remove the trials of old evaluations, each after its evidence and verdicts were archived."""
    with reading(run.database) as session:
        old = _old_evaluations(session, run.before)
        if run.dry_run:
            return size_of_rows(session, TrialRow, TrialRow.evaluation_id.in_(old))
        ids = session.scalars(old).all()
    return sum((_prune_evaluation(run, evaluation_id) for evaluation_id in ids), Removed())


def _old_evaluations(session: Session, before: datetime) -> Select[str]:
    """Old evaluations with trials, but none that a waiver passes or could: it is decided anew."""
    live_waiver = (
        select(WaiverRow.id)
        .join(CheckpointRow, CheckpointRow.digest == WaiverRow.digest)
        .where(
            CheckpointRow.id == EvaluationRow.candidate_id,
            WaiverRow.project == CheckpointRow.project,
            WaiverRow.revoked_at.is_(None),
            WaiverRow.expires_at > now(session),
        )
    )
    trials = select(TrialRow.evaluation_id).where(TrialRow.evaluation_id == EvaluationRow.id)
    is_old = EvaluationRow.id.in_(old_jobs(before))
    stands = EvaluationRow.waived_until.is_(None)  # on no waiver of a policy's text either
    return select(EvaluationRow.id).where(is_old, stands, trials.exists(), ~live_waiver.exists())


def _prune_evaluation(run: Run, evaluation_id: str) -> Removed:
    """Prune one evaluation; what stands against it is a problem of this one alone."""
    try:
        with run.session() as session:
            return _archive_and_delete(session, run, evaluation_id)
    except (HoldfastError, OSError, ValueError) as error:  # ValueError: rows that are no evidence
        run.problems.append(f"{evaluation_id} keeps its trials: {error}")
        return Removed()


def _archive_and_delete(session: Session, run: Run, evaluation_id: str) -> Removed:
    """Write the archive, then remove the trials, in one transaction beside which nobody writes."""
    if not lock_old_job(session, evaluation_id, run.before):
        return Removed()
    row = session.get_one(EvaluationRow, evaluation_id, with_for_update=True)
    old = _old_evaluations(session, run.before).where(EvaluationRow.id == evaluation_id)
    if session.scalar(old) is None:
        return Removed()
    archived = write_archive(session, run.home, row)
    trials = TrialRow.evaluation_id == evaluation_id
    removed = size_of_rows(session, TrialRow, trials)
    delete_rows(session, TrialRow, trials)
    row.manifests = {}
    actor = operator_of(get_job(session, evaluation_id).project)
    after = {"trials": removed.rows, "archive": archived}
    record(session, actor, "trials.prune", evaluation_id, after=after)
    return removed
