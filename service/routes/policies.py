"""Policies: kept by what they mean; validated without being kept."""

from fastapi import APIRouter, Response

from holdfast.api import wire
from holdfast.db import catalogue
from holdfast.errors import Conflict, InvalidPolicy, NotBuilt, NotFound
from holdfast.policy.text import parse_policy
from service import schemas
from service.acts import Acts
from service.deps import Limit, PolicyWriter, Reader, Reading
from service.idempotency import KeptRoute, Posting
from service.paging import IdCursor
from service.problems import raises

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=KeptRoute)


@router.post("", status_code=201, responses=raises(InvalidPolicy, NotBuilt, Conflict))
def save(
    body: wire.NewPolicy,
    caller: PolicyWriter,
    session: Posting,
    acts: Acts,
    response: Response,
) -> wire.Policy:
    """Store a policy; one that means the same is the same row."""
    understood = parse_policy(body.text, source="policy")
    row = catalogue.save_policy(session, caller.project, understood, body.text)
    acts.note(session, "policy.save", row.id, after={"name": row.name, "digest": row.digest})
    response.headers["Location"] = f"/v1/policies/{row.id}"
    return schemas.policy(row)


@router.post(":validate", responses=raises(InvalidPolicy, NotBuilt, Conflict))
def validate(body: wire.NewPolicy, _caller: Reader, _session: Posting) -> wire.PolicyReading:
    """Say how a policy is understood, or what is wrong with it; nothing is stored."""
    return schemas.reading(parse_policy(body.text, source="policy"))


@router.get("", responses=raises())
def list_all(
    caller: Reader, session: Reading, cursor: IdCursor = None, limit: Limit = 50
) -> wire.Page[wire.Policy]:
    """The project's policies, newest first."""
    rows = catalogue.list_policies(session, caller.project, limit=limit + 1, before=cursor)
    return schemas.page(rows, limit, schemas.policy, lambda row: row.id)


@router.get("/{policy_id:id}", responses=raises(NotFound))
def read(policy_id: str, caller: Reader, session: Reading) -> wire.Policy:
    """One policy and its text."""
    return schemas.policy(catalogue.get_policy(session, caller.project, policy_id))
