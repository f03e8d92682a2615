"""Evaluations: submit, watch, cancel, retry."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.db import browse, jobs
from holdfast.db.evaluations import get_evaluation, get_job
from holdfast.db.tables import EvaluationRow, JobRow
from holdfast.errors import (
    CheckpointRefused,
    Conflict,
    InvalidPolicy,
    InvalidTaskData,
    NotBuilt,
    NotFound,
    QueueFull,
)
from holdfast.projects.rules import renew_terms
from service import schemas
from service.acts import Acts
from service.admitting import AdmittingDep
from service.deps import (
    Canceler,
    Limit,
    Reader,
    Reading,
    SettingsDep,
    Writer,
    require_own,
    wake_after_commit,
)
from service.idempotency import KeptRoute, Posting
from service.paging import IdCursor
from service.problems import raises
from service.submit import submit_evaluation

SUBMITTED = {
    *("candidate", "baseline", "anchor", "policy", "tier", "split", "template", "repairs"),
    *("cause", "labels"),
}

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"], route_class=KeptRoute)


@router.post(
    "",
    status_code=202,
    responses=raises(
        CheckpointRefused, InvalidPolicy, InvalidTaskData, NotBuilt, NotFound, Conflict, QueueFull
    ),
)
def submit(
    body: wire.NewEvaluation,
    request: Request,
    caller: Writer,
    session: Posting,
    settings: SettingsDep,
    admitting: AdmittingDep,
    acts: Acts,
    response: Response,
) -> wire.Evaluation:
    """Queue an evaluation. 202 says that it is accepted and will not be lost; not a verdict."""
    evaluation_id = submit_evaluation(session, settings, admitting, caller, body)
    wake_after_commit(request, session, settings.queue)
    response.headers["Location"] = f"/v1/evaluations/{evaluation_id}"
    made = schemas.evaluation(*found(session, caller.project, evaluation_id), repairs=())
    acts.note(session, "evaluation.submit", made.id, after=made.model_dump(include=SUBMITTED))
    return made


@router.get("", responses=raises())
def list_all(
    caller: Reader,
    session: Reading,
    cursor: IdCursor = None,
    limit: Limit = 50,
    branch: Annotated[wire.Plain, Query(max_length=200)] | None = None,
    line: Annotated[wire.Plain, Query(max_length=64)] | None = None,
) -> wire.Page[wire.Evaluation]:
    """The project's evaluations, newest first; of a branch, or of a line (a baseline's alias)."""
    rows = browse.list_evaluations(
        session, caller.project, limit=limit + 1, before=cursor, branch=branch, line=line
    )
    repairs = browse.repairs_by_evaluation(session, [job.id for job, _ in rows])
    return schemas.page(
        rows,
        limit,
        lambda row: schemas.evaluation(*row, repairs[row[0].id]),
        lambda row: row[0].id,
    )


@router.get("/{evaluation_id:id}", responses=raises(NotFound))
def read(evaluation_id: str, caller: Reader, session: Reading) -> wire.Evaluation:
    """How far an evaluation is, and its verdict once there is one."""
    return evaluation_of(session, caller.project, evaluation_id)


@router.post("/{evaluation_id:id}:cancel", responses=raises(NotFound, Conflict))
def cancel(evaluation_id: str, caller: Canceler, session: Posting, acts: Acts) -> wire.Evaluation:
    """Ask for its end: at once if it waits, at the worker's next look if it runs."""
    require_own(caller, get_job(session, evaluation_id, project=caller.project))
    jobs.request_cancel(session, evaluation_id)
    acts.note(session, "evaluation.cancel", evaluation_id)
    return evaluation_of(session, caller.project, evaluation_id)


@router.post("/{evaluation_id:id}:retry", responses=raises(NotFound, Conflict))
def retry(
    evaluation_id: str, request: Request, caller: Writer, session: Posting, acts: Acts
) -> wire.Evaluation:
    """Queue it again after it ended without a result, by the rules of now; its answers are kept."""
    job = get_job(session, evaluation_id, project=caller.project)
    renew_terms(session, job, get_evaluation(session, evaluation_id))
    jobs.retry(session, evaluation_id)
    acts.note(session, "evaluation.retry", evaluation_id)
    wake_after_commit(request, session, get_job(session, evaluation_id).queue)
    return evaluation_of(session, caller.project, evaluation_id)


def evaluation_of(session: Session, project: str, evaluation_id: str) -> wire.Evaluation:
    """A project's evaluation; NotFound otherwise."""
    repairs = browse.repairs_by_evaluation(session, [evaluation_id])
    rows = found(session, project, evaluation_id)
    return schemas.evaluation(*rows, repairs[evaluation_id])


def found(session: Session, project: str, evaluation_id: str) -> tuple[JobRow, EvaluationRow]:
    """The two rows of a project's evaluation; NotFound otherwise."""
    job = get_job(session, evaluation_id, project=project)
    return job, get_evaluation(session, evaluation_id)
