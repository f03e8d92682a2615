"""Waivers apart from policies: given, listed, revoked, each deciding what was judged anew."""

from fastapi import APIRouter, Response

from holdfast.api import wire
from holdfast.db.catalogue import get_checkpoint
from holdfast.errors import Conflict, InvalidPolicy, NotFound
from holdfast.projects import waivers
from holdfast.projects.decided_anew import decide_again
from holdfast.projects.people import require_another_person
from holdfast.projects.rules import find_project
from service import schemas
from service.acts import Acts
from service.deps import Limit, Reader, Reading, Waiving
from service.idempotency import KeptRoute, Posting
from service.paging import IdCursor
from service.problems import raises

router = APIRouter(prefix="/v1/waivers", tags=["waivers"], route_class=KeptRoute)


@router.post("", status_code=201, responses=raises(InvalidPolicy, NotFound, Conflict))
def give(
    body: wire.NewWaiver, caller: Waiving, session: Posting, acts: Acts, response: Response
) -> wire.CheckpointWaiver:
    """Waive a check of a checkpoint; its verdicts are decided anew, and the ones before stay."""
    checkpoint = get_checkpoint(session, caller.project, body.checkpoint)
    rules = find_project(session, caller.project)
    require_another_person(session, rules, checkpoint.id, caller.principal, "waive its checks")
    wanted = waivers.WaiverFields(body.check, checkpoint.digest, body.reason, body.expires_at)
    owner = caller.principal or caller.key_id
    row = waivers.give_waiver(session, caller.project, wanted, owner=owner)
    decided = decide_again(session, caller.project, checkpoint.digest)
    after = {"check": row.check_id, "digest": row.digest, "expires_at": row.expires_at.isoformat()}
    acts.note(
        session,
        "waiver.give",
        row.id,
        after=after | {"verdicts": {about.id: about.verdict for about in decided}},
    )
    response.headers["Location"] = f"/v1/waivers/{row.id}"
    return schemas.waiver(row, decided)


@router.get("", responses=raises())
def list_all(
    caller: Reader, session: Reading, cursor: IdCursor = None, limit: Limit = 50
) -> wire.Page[wire.CheckpointWaiver]:
    """The project's waivers, newest first, the revoked ones too."""
    rows = waivers.list_waivers(session, caller.project, limit=limit + 1, before=cursor)
    return schemas.page(rows, limit, schemas.waiver, lambda row: row.id)


@router.post("/{waiver_id:id}:revoke", responses=raises(NotFound, Conflict))
def revoke(waiver_id: str, caller: Waiving, session: Posting, acts: Acts) -> wire.CheckpointWaiver:
    """End a waiver at once; its checkpoint's verdicts are decided anew."""
    row = waivers.revoke_waiver(session, caller.project, waiver_id)
    decided = decide_again(session, caller.project, row.digest)
    verdicts = {about.id: about.verdict for about in decided}
    acts.note(session, "waiver.revoke", row.id, after={"verdicts": verdicts})
    return schemas.waiver(row, decided)
