"""Bodies of projects: their rules, waivers, and the audit trail."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from holdfast.api.wire.body import Alias, CheckpointId, Location, Plain, ReplyBody, RequestBody

CheckName = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_.:@-]{0,63}$")]


class NewProject(RequestBody):
    """The rules of a project, all of them: what is left out is not demanded.

    `policy` is a shipped policy's name, a policy id, or YAML text, and then the only one that a
    submitter may use. `baseline` and `anchor` are aliases that every evaluation must name.
    `separate_duties` wants somebody else to waive, or to move an alias, than whoever submitted;
    `unwaivable` names checks, `waiver_days` bounds every waiver, and `roots` are the folders of the
    server in which the project's checkpoints may lie.
    """

    policy: Annotated[Plain, Field(min_length=1, max_length=200_000)] | None = None
    baseline: Alias | None = None
    anchor: Alias | None = None
    separate_duties: bool = False
    unwaivable: Annotated[tuple[CheckName, ...], Field(max_length=100)] = ()
    waiver_days: Annotated[int, Field(ge=1, le=366)] = 30
    roots: Annotated[tuple[Location, ...], Field(max_length=20)] | None = None


class Project(ReplyBody):
    """The rules of a project; `version` is their ETag, and 0 where nobody made any."""

    name: str
    version: int
    policy: str | None
    policy_set_by: str | None
    policy_set_at: datetime | None
    baseline: str | None
    anchor: str | None
    separate_duties: bool
    unwaivable: tuple[str, ...]
    waiver_days: int
    roots: tuple[str, ...] | None


class NewWaiver(RequestBody):
    """Permission to ship a checkpoint although one of its checks does not pass, until a moment."""

    checkpoint: CheckpointId
    check: CheckName
    reason: Annotated[Plain, Field(min_length=1, max_length=2000)]
    expires_at: AwareDatetime


class CheckpointWaiver(ReplyBody):
    """A waiver; `owner` is who gave it, `evaluations` those that it gave another verdict."""

    id: str
    project: str
    check: str
    digest: str
    reason: str
    owner: str
    expires_at: datetime
    created_at: datetime
    revoked_at: datetime | None
    evaluations: tuple[str, ...] = ()


class AuditEvent(ReplyBody):
    """One act: who, how authenticated, from where, on what, before and after."""

    project: str
    seq: int
    at: str
    principal: str | None
    key_id: str | None
    authenticated: str
    address: str | None
    request_id: str | None
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    previous: str
    digest: str


class AuditHead(ReplyBody):
    """Where the trail ends, signed by the server: keep it, and nobody can cut the trail unseen."""

    project: str
    seq: int
    digest: str
    signature: str
    public_key: str
