"""Bodies of checkpoints, baselines, policies and keys, and of what a server's version offers."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from holdfast.api.wire.body import (
    Alias,
    CheckpointId,
    Location,
    Name,
    Plain,
    ReplyBody,
    RequestBody,
)
from holdfast.scopes import ROLES, SCOPES, Role, Scope


class NewCheckpoint(RequestBody):
    """A folder under one of the server's checkpoint roots, as a path or file:// URI.

    `adapter` is the folder of a LoRA adapter (as peft saves it) whose base `uri` is. `parent` is
    what it was made from; that of a baseline is the model from before its alignment.
    """

    uri: Location
    adapter: Location | None = None
    parent: CheckpointId | None = None


class File(ReplyBody):
    """One file of a checkpoint."""

    path: str
    size: int
    sha256: str


class Checkpoint(ReplyBody):
    """A registered checkpoint; it never changes."""

    id: str
    project: str
    name: str
    path: str
    digest: str
    template_sha256: str
    files: tuple[File, ...]
    adapter: str | None = None
    parent: str | None
    created_at: datetime


class NewBaseline(RequestBody):
    """Where an alias shall point."""

    checkpoint: CheckpointId


class Baseline(ReplyBody):
    """One move of an alias; `version` is its ETag."""

    project: str
    alias: str
    checkpoint: str
    version: int
    actor: str
    created_at: datetime


class NewPolicy(RequestBody):
    """A policy as YAML text."""

    text: Annotated[Plain, Field(min_length=1, max_length=200_000)]


class PolicyReading(ReplyBody):
    """How a policy was understood."""

    name: str
    digest: str
    probes: tuple[str, ...]
    warnings: tuple[str, ...]


class Policy(PolicyReading):
    """A stored policy and its text."""

    id: str
    text: str
    created_at: datetime


class AliasOf(RequestBody):
    """A baseline by its alias."""

    alias: Alias


class NewKey(RequestBody):
    """A key for this project, with scopes, or roles that bundle them.

    `principal` is the person that it is for; left out, it stands for whoever makes it.
    """

    name: Name
    scopes: Annotated[tuple[Scope, ...], Field(max_length=len(SCOPES))] = ()
    roles: Annotated[tuple[Role, ...], Field(max_length=len(ROLES))] = ()
    principal: Name | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None

    @model_validator(mode="after")
    def _may_do_something(self) -> Self:
        if not self.scopes and not self.roles:
            raise ValueError("names neither scopes nor roles; a key without any may do nothing")
        return self


class Key(ReplyBody):
    """A key; `token` is there in the reply that made it, once, and never again."""

    id: str
    project: str
    name: str
    scopes: tuple[str, ...]
    principal: str | None = None
    minted_by: str | None = None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    token: str | None = None


class Probe(ReplyBody):
    """One probe of the catalogue; `items` maps a tier to how many it takes, null meaning all."""

    name: str
    metric: str
    suite: str | None
    judge: str | None
    items: dict[str, int | None]
    sliced: bool
    measure: bool


class Suite(ReplyBody):
    """A built-in suite."""

    name: str
    digest: str
    items: int
    splits: dict[str, int]


class Judge(ReplyBody):
    """A built judge; a changed digest makes runs incomparable."""

    id: str
    sha256: str
    probes: tuple[str, ...]


class Readiness(ReplyBody):
    """Whether requests can be served; without a broker jobs are accepted all the same.

    A database is `migrated` where it has another revision by now: this process is of an old
    version.
    """

    status: Literal["ready", "degraded", "down"]
    database: Literal["up", "down", "migrated"]
    broker: Literal["up", "degraded", "down"]
