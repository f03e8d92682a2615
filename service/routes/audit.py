"""The audit trail: read from its beginning, and where it ends and ended before, signed."""

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request

from holdfast.api import wire
from holdfast.projects import audit
from holdfast.projects.signed_heads import read_signed_heads
from service import schemas
from service.deps import Auditor, Limit, Reading, SettingsDep
from service.problems import raises

router = APIRouter(prefix="/v1", tags=["audit"])

After = Annotated[int, Query(ge=0, le=2**31 - 1, description="The last `seq` that was seen.")]
Skipped = Annotated[int, Query(ge=0, le=2**31 - 1, description="How many heads were seen.")]


@router.get("/audit-events", responses=raises())
def events(
    caller: Auditor, session: Reading, cursor: After = 0, limit: Limit = 200
) -> wire.Page[wire.AuditEvent]:
    """The acts in this project, oldest first."""
    rows = audit.list_events(session, caller.project, after=cursor, limit=limit + 1)
    return schemas.page(rows, limit, schemas.audit_event, lambda row: str(row.seq))


@router.get("/audit-head", responses=raises())
def head(request: Request, caller: Auditor, session: Reading) -> wire.AuditHead:
    """Where the trail ends now, with the server's signature."""
    signed = audit.sign_head(audit.head_of(session, caller.project), request.app.state.signing_key)
    return schemas.audit_head(signed)


@router.get("/audit-heads", responses=raises())
def heads(
    caller: Auditor, settings: SettingsDep, cursor: Skipped = 0, limit: Limit = 200
) -> wire.Page[wire.AuditHead]:
    """Where the trail ended when this server signed it, about hourly, oldest first."""
    signed = read_signed_heads(settings.home, caller.project)
    entries = tuple(islice(signed, cursor, cursor + limit + 1))
    return schemas.page(entries, limit, schemas.audit_head, lambda _: str(cursor + limit))
