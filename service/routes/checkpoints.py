"""Checkpoints: a folder is admitted and hashed, and known by its digest from then on."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from holdfast.api import wire
from holdfast.db import catalogue
from holdfast.errors import (
    CheckpointRefused,
    Conflict,
    InvalidEvidence,
    NotBuilt,
    NotFound,
    UnknownProbe,
)
from holdfast.probes.table import spec_of
from holdfast.projects.lineages import OtherOrder, read_chain
from holdfast.readings.chain import Chain
from service import schemas
from service.acts import Acts
from service.admitting import AdmittingDep
from service.deps import Limit, Reader, Reading, Writer
from service.idempotency import KeptRoute, Posting
from service.paging import IdCursor
from service.problems import raises

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"], route_class=KeptRoute)

CheckpointId = Annotated[str | None, Query(pattern=r"^ckpt_[0-9a-f]{32}$")]
Rate = Annotated[str, Query(pattern=r"^[a-z][A-Za-z0-9_.:@-]{0,127}$")]


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


@router.get(
    "/{checkpoint_id:id}/chain", responses=raises(NotFound, Conflict, InvalidEvidence, UnknownProbe)
)
def chain(  # the query's own names
    checkpoint_id: str,
    caller: Reader,
    session: Reading,
    *,
    anchor: CheckpointId = None,
    other_order: CheckpointId = None,
    safety: Rate = "harm.direct",
    capability: Rate = "cap.knowledge",
) -> Chain:
    """Forgetting of each stage up to this checkpoint and since the first: rates, no verdict.

    It begins at `anchor`, or at the oldest ancestor with evidence. `other_order` names the last of
    the same two stages taught the other way round, and adds the order effect.
    """
    for name in (safety, capability):
        if spec_of(name).measure:
            raise UnknownProbe(f"{name} is no rate of this version")
    other = None if other_order is None else OtherOrder(other_order, safety, capability)
    return read_chain(session, caller.project, checkpoint_id, anchor_id=anchor, other=other)
