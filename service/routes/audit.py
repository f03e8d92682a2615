"""The audit trail: read from its beginning, and where it ends, signed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from holdfast.api import wire
from holdfast.projects import audit
from service import schemas
from service.deps import Auditor, Limit, Reading
from service.problems import raises

router = APIRouter(prefix="/v1", tags=["audit"])

After = Annotated[int, Query(ge=0, le=2**31 - 1, description="The last `seq` that was seen.")]


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
