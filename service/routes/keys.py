"""API keys: made, listed and revoked by an admin key of the same project."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from holdfast.api import wire
from holdfast.db import jobs
from holdfast.db import keys as rows
from holdfast.errors import Conflict, NotFound
from holdfast.scopes import scopes_of_roles
from service import schemas
from service.acts import Acts
from service.deps import Admin, Reading
from service.idempotency import KeptRoute, Posting
from service.problems import raises

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=KeptRoute)


@router.post("", status_code=201, responses=raises(Conflict))
def create(
    body: wire.NewKey,
    request: Request,
    caller: Admin,
    session: Posting,
    acts: Acts,
    response: Response,
) -> wire.Key:
    """Make a key. Its token is in this reply alone; a replay of the reply is without it."""
    days = body.expires_in_days
    made = rows.mint_key(
        session,
        request.app.state.pepper,
        caller,
        name=body.name,
        scopes={*body.scopes, *scopes_of_roles(body.roles)},
        expires_at=jobs.now(session) + timedelta(days=days) if days else None,
        principal=body.principal,
    )
    after = {"name": body.name, "scopes": made.row.scopes, "principal": made.row.principal}
    acts.note(session, "key.create", made.row.id, after=after)
    response.headers["Cache-Control"] = "no-store"
    return schemas.key(made.row, made.token)


@router.get("", responses=raises())
def list_all(caller: Admin, session: Reading) -> wire.Page[wire.Key]:
    """The project's keys, the revoked ones too, without their tokens."""
    return schemas.full_page([schemas.key(row) for row in rows.list_keys(session, caller.project)])


@router.post("/{key_id:id}:revoke", responses=raises(NotFound, Conflict))
def revoke(key_id: str, caller: Admin, session: Posting, acts: Acts) -> wire.Key:
    """End a key at once."""
    row = rows.revoke_key(session, caller.project, key_id)
    acts.note(session, "key.revoke", row.id, before={"name": row.name, "scopes": row.scopes})
    return schemas.key(row)
