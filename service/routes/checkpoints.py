"""Checkpoints: a folder is admitted and hashed, and known by its digest from then on."""

from fastapi import APIRouter, Response

from holdfast.api import wire
from holdfast.db import catalogue
from holdfast.errors import CheckpointRefused, Conflict, NotBuilt, NotFound
from service import schemas
from service.acts import Acts
from service.admitting import AdmittingDep
from service.deps import Limit, Reader, Reading, Writer
from service.idempotency import KeptRoute, Posting
from service.paging import IdCursor
from service.problems import raises

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"], route_class=KeptRoute)


@router.post("", status_code=201, responses=raises(CheckpointRefused, NotBuilt, NotFound, Conflict))
def register(
    body: wire.NewCheckpoint,
    caller: Writer,
    session: Posting,
    admitting: AdmittingDep,
    acts: Acts,
    response: Response,
) -> wire.Checkpoint:
    """Admit and register a folder; the same content is the same checkpoint.

    A `parent` may be told later; one that is known stays.
    """
    ref = admitting.checkpoint(caller.project, body.uri, body.adapter)
    row = catalogue.register_checkpoint(session, caller.project, ref, parent_id=body.parent)
    if body.parent is not None:
        catalogue.name_parent(session, row, body.parent)
    acts.note(
        session,
        "checkpoint.register",
        row.id,
        after={"digest": row.digest, "path": str(ref.path), "parent": row.parent_id},
    )
    response.headers["Location"] = f"/v1/checkpoints/{row.id}"
    return schemas.checkpoint(row)


@router.get("", responses=raises())
def list_all(
    caller: Reader, session: Reading, cursor: IdCursor = None, limit: Limit = 50
) -> wire.Page[wire.Checkpoint]:
    """The project's checkpoints, newest first."""
    rows = catalogue.list_checkpoints(session, caller.project, limit=limit + 1, before=cursor)
    return schemas.page(rows, limit, schemas.checkpoint, lambda row: row.id)


@router.get("/{checkpoint_id:id}", responses=raises(NotFound))
def read(checkpoint_id: str, caller: Reader, session: Reading) -> wire.Checkpoint:
    """One checkpoint, with its files."""
    return schemas.checkpoint(catalogue.get_checkpoint(session, caller.project, checkpoint_id))
