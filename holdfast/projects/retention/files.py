"""Old files of jobs are removed: what workers wrote on the way, and the weights of repairs."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from holdfast.db.evaluations import get_job
from holdfast.projects.audit import record
from holdfast.projects.retention.in_use import lock_old_job
from holdfast.projects.retention.job_files import Kind, files_by_job, rename_away, size_of
from holdfast.projects.retention.removed import Removed, Run, operator_of
from holdfast.projects.retention.repaired_weights import are_needed, lock_checkpoints_in

May = Callable[[Session, Run, str], bool]  # whether the files of a job, by its id, may be removed


def prune_transcripts(run: Run) -> Removed:
    """Remove the files that workers wrote for old jobs."""
    return _prune_files(run, "transcripts", lambda _session, _run, _job_id: True)


def prune_repairs(run: Run) -> Removed:
    """Remove the weights of old repairs that no work needs and no alias points at."""
    return _prune_files(run, "repairs", _release_weights)


def _prune_files(run: Run, kind: Kind, may: May) -> Removed:
    jobs = files_by_job(run.home, kind).items()
    return sum((_prune_job(run, job_id, paths, may) for job_id, paths in jobs), Removed())


def _prune_job(run: Run, job_id: str, paths: list[Path], may: May) -> Removed:
    """Prune one job's files; what stands against it is a problem of this one alone."""
    try:
        with run.session() as session:
            if not lock_old_job(session, job_id, run.before) or not may(session, run, job_id):
                return Removed()
            amount = size_of(paths)
            if not run.dry_run:
                rename_away(paths)
            return amount
    except OSError as error:
        run.problems.append(f"the files of {job_id} cannot be removed: {error}")
        return Removed()


def _release_weights(session: Session, run: Run, job_id: str) -> bool:
    """Whether nothing needs the weights of a repair; then it is on record that they are removed."""
    checkpoints = lock_checkpoints_in(session, job_id)
    if are_needed(session, checkpoints):
        return False
    if not run.dry_run:
        actor = operator_of(get_job(session, job_id).project)
        after = {"checkpoints": [row.id for row in checkpoints]}
        record(session, actor, "weights.prune", job_id, after=after)
    return True
