"""A project's content, deleted as a whole: rows and files; its audit trail stays.

Files are renamed in the transaction that deletes the rows and removed after it, so a run that is
killed is run again and ends what it began.
"""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, func, select, update
from sqlalchemy.orm import Session

from holdfast.db.session import reading, transaction
from holdfast.db.tables import (
    AnswerRow,
    ApiKey,
    BaselineMove,
    CheckpointPlace,
    CheckpointRow,
    EvaluationRow,
    EventRow,
    IdempotentReply,
    JobRow,
    PolicyText,
    RemediationRow,
    TableRow,
    TrialRow,
)
from holdfast.errors import Conflict, NotFound
from holdfast.projects.audit import record
from holdfast.projects.retention.in_use import unfinished_jobs
from holdfast.projects.retention.job_files import (
    Kind,
    files_by_job,
    remove_renamed,
    rename_away,
    size_of,
)
from holdfast.projects.retention.removed import (
    Pruned,
    Removed,
    delete_rows,
    operator_of,
    size_of_rows,
)
from holdfast.projects.retention.repaired_weights import lock_checkpoints_in
from holdfast.projects.tables import EarlierVerdict, ProjectRow, WaiverRow
from holdfast.settings import Settings

FILES: tuple[Kind, ...] = ("transcripts", "repairs", "archive")


def delete_project(
    database: Engine, settings: Settings, project: str, *, dry_run: bool = False
) -> Pruned:
    """Delete everything of a project but its audit trail, which records the act.

    Raises Conflict while a job of it waits or runs, and NotFound where there is nothing of it.
    """
    with reading(database) if dry_run else transaction(database) as session:
        amounts = _amounts(session, settings.home, project)
        if not dry_run:
            for paths in _files(session, settings.home, project).values():
                rename_away(paths)
            _delete_rows(session, project)
            after = {kind: amount.rows or amount.files for kind, amount in amounts.items()}
            record(session, operator_of(project), "project.delete", project, after=after)
    problems = () if dry_run else tuple(remove_renamed(settings.home))
    return Pruned(dict(amounts), problems)


def _amounts(session: Session, home: Path, project: str) -> dict[str, Removed]:
    """How much there is of each kind."""
    amounts = {
        table.__tablename__: size_of_rows(session, table, where) for table, where in _rows(project)
    }
    amounts |= {kind: size_of(paths) for kind, paths in _files(session, home, project).items()}
    if not any(amount.rows for amount in amounts.values()):
        raise NotFound(f"there is nothing of a project {project} in the database")
    query = select(func.count()).select_from(JobRow).where(JobRow.project == project)
    if unfinished := session.scalar(query.where(JobRow.id.in_(unfinished_jobs()))):
        raise Conflict(
            f"project {project} has {unfinished} jobs that wait or run; cancel them first, then "
            "delete it"
        )
    return amounts


def _files(session: Session, home: Path, project: str) -> dict[Kind, list[Path]]:
    """The files of the project's jobs; no weights that another project's checkpoints lie in."""
    return {
        kind: [
            path
            for job_id, paths in files_by_job(home, kind).items()
            if _is_of(session, job_id, project) and not _is_shared(session, job_id, project)
            for path in paths
        ]
        for kind in FILES
    }


def _is_of(session: Session, job_id: str, project: str) -> bool:
    job = session.get(JobRow, job_id)
    return job is not None and job.project == project


def _is_shared(session: Session, job_id: str, project: str) -> bool:
    return any(row.project != project for row in lock_checkpoints_in(session, job_id))


def _rows(project: str) -> Iterator[tuple[type[TableRow], ColumnElement[bool]]]:
    """The rows of a project, in an order in which none refers to a row that is deleted already."""
    jobs = select(JobRow.id).where(JobRow.project == project)
    checkpoints = select(CheckpointRow.id).where(CheckpointRow.project == project)
    digests = select(CheckpointRow.digest)
    theirs = digests.where(CheckpointRow.project != project)
    yield (
        AnswerRow,
        (
            AnswerRow.checkpoint_digest.in_(digests.where(CheckpointRow.project == project))
            & AnswerRow.checkpoint_digest.not_in(theirs)
        ),
    )
    yield TrialRow, TrialRow.evaluation_id.in_(jobs)
    yield EventRow, EventRow.job_id.in_(jobs)
    yield EarlierVerdict, EarlierVerdict.evaluation_id.in_(jobs)
    yield RemediationRow, RemediationRow.id.in_(jobs)
    yield EvaluationRow, EvaluationRow.id.in_(jobs)
    yield JobRow, JobRow.project == project
    yield WaiverRow, WaiverRow.project == project
    yield ProjectRow, ProjectRow.name == project
    yield BaselineMove, BaselineMove.project == project
    yield CheckpointPlace, CheckpointPlace.checkpoint_id.in_(checkpoints)
    yield CheckpointRow, CheckpointRow.project == project
    yield PolicyText, PolicyText.project == project
    yield ApiKey, ApiKey.project == project
    yield IdempotentReply, IdempotentReply.project == project


def _delete_rows(session: Session, project: str) -> None:
    parents = update(CheckpointRow).where(CheckpointRow.project == project)
    session.execute(parents.values(parent_id=None).execution_options(synchronize_session=False))
    for table, where in _rows(project):
        delete_rows(session, table, where)
