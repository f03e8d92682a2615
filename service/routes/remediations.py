"""Remediations: the repair of a failing candidate, gated like any other checkpoint."""

from contextlib import suppress

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.db import browse, jobs
from holdfast.db.evaluations import get_job, get_remediation
from holdfast.db.tries import unfinished_work
from holdfast.errors import Conflict, InvalidPlan, NotBuilt, NotFound, QueueFull
from service import schemas
from service.acts import Acts
from service.candidates import candidates_of
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
from service.submit import submit_remediation

router = APIRouter(prefix="/v1/remediations", tags=["remediations"], route_class=KeptRoute)


@router.post(
    "", status_code=202, responses=raises(InvalidPlan, NotBuilt, NotFound, Conflict, QueueFull)
)
def submit(
    body: wire.NewRemediation,
    request: Request,
    caller: Writer,
    session: Posting,
    settings: SettingsDep,
    acts: Acts,
    response: Response,
) -> wire.Remediation:
    """Queue a repair; its checkpoint is evaluated on held-out items by itself."""
    remediation_id = submit_remediation(session, settings, caller, body)
    wake_after_commit(request, session, get_job(session, remediation_id).queue)
    after = {"evaluation": body.evaluation, "recipe": body.recipe}
    acts.note(session, "remediation.submit", remediation_id, after=after)
    response.headers["Location"] = f"/v1/remediations/{remediation_id}"
    return remediation_of(session, caller.project, remediation_id)


@router.get("", responses=raises())
def list_all(
    caller: Reader, session: Reading, cursor: IdCursor = None, limit: Limit = 50
) -> wire.Page[wire.Remediation]:
    """The project's repairs, newest first."""
    rows = browse.list_remediations(session, caller.project, limit=limit + 1, before=cursor)
    return schemas.page(rows, limit, lambda row: schemas.remediation(*row), lambda row: row[0].id)


@router.get("/{remediation_id:id}", responses=raises(NotFound))
def read(remediation_id: str, caller: Reader, session: Reading) -> wire.Remediation:
    """Its plan, how far the training is, and what came out."""
    return remediation_of(session, caller.project, remediation_id)


@router.post("/{remediation_id:id}:cancel", responses=raises(NotFound, Conflict))
def cancel(remediation_id: str, caller: Canceler, session: Posting, acts: Acts) -> wire.Remediation:
    """Ask for its end: at once if it waits, at the worker's next look if it runs."""
    require_own(caller, get_job(session, remediation_id, project=caller.project))
    jobs.request_cancel(session, remediation_id)
    acts.note(session, "remediation.cancel", remediation_id)
    for job_id in unfinished_work(session, remediation_id):  # a ladder's tries end with it
        with suppress(Conflict):  # it has just ended by itself
            jobs.request_cancel(session, job_id)
    return remediation_of(session, caller.project, remediation_id)


@router.get("/{remediation_id:id}/candidates", responses=raises(NotFound))
def candidates(remediation_id: str, caller: Reader, session: Reading) -> wire.Page[wire.Candidate]:
    """The tries of a repair, with scores and the Pareto front."""
    remediation_of(session, caller.project, remediation_id)
    return wire.Page(data=candidates_of(session, remediation_id), next_cursor=None, has_more=False)


def remediation_of(session: Session, project: str, remediation_id: str) -> wire.Remediation:
    """A project's repair; NotFound otherwise."""
    job = get_job(session, remediation_id, project=project)
    return schemas.remediation(job, get_remediation(session, remediation_id))
