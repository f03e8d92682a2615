"""What crosses the wire: the bodies of requests and replies, shared by the service and its client.

Requests refuse unknown keys, since a misspelt option must not silently fall back to a default.
Replies are read leniently: a newer server may say more. `GET …/verdict` is not here, it is
`holdfast.verdict.Verdict`.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from holdfast.db.keys import Scope
from holdfast.evaluation import Status
from holdfast.outcome import Decision
from holdfast.probe import Split, Tier
from holdfast.remediation import Mix

Entry = TypeVar("Entry")


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a NUL or half a surrogate pair, which is no text in a database")
    return text


Plain = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Plain, Field(min_length=1, max_length=200)]
Location = Annotated[Plain, Field(min_length=1, max_length=4096)]
CheckpointId = Annotated[str, Field(pattern=r"^ckpt_[0-9a-f]{32}$")]
EvaluationId = Annotated[str, Field(pattern=r"^eval_[0-9a-f]{32}$")]
ALIAS = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Alias = Annotated[str, Field(pattern=ALIAS)]


class Request(BaseModel):
    """Root of bodies that are sent to the service."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reply(BaseModel):
    """Root of bodies that come back."""

    model_config = ConfigDict(frozen=True)


class Page(Reply, Generic[Entry]):
    """One page of a list; `next_cursor` asks for the next, and is null on the last."""

    data: tuple[Entry, ...]
    next_cursor: str | None
    has_more: bool


class Problem(Reply):
    """RFC 9457: every error reply, as application/problem+json. `title` is the error's class."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str
    errors: tuple[str, ...] = ()


# --- checkpoints, baselines, policies -------------------------------------------------------


class NewCheckpoint(Request):
    """A folder under one of the server's checkpoint roots, as a path or file:// URI."""

    uri: Location
    parent: CheckpointId | None = None


class File(Reply):
    """One file of a checkpoint."""

    path: str
    size: int
    sha256: str


class Checkpoint(Reply):
    """A registered checkpoint; it never changes."""

    id: str
    project: str
    name: str
    path: str
    digest: str
    template_sha256: str
    files: tuple[File, ...]
    parent: str | None
    created_at: datetime


class NewBaseline(Request):
    """Where an alias shall point."""

    checkpoint: CheckpointId


class Baseline(Reply):
    """One move of an alias; `version` is its ETag."""

    project: str
    alias: str
    checkpoint: str
    version: int
    actor: str
    created_at: datetime


class NewPolicy(Request):
    """A policy as YAML text."""

    text: Annotated[Plain, Field(min_length=1, max_length=200_000)]


class PolicyReading(Reply):
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


# --- evaluations ----------------------------------------------------------------------------


class AliasOf(Request):
    """A baseline by its alias."""

    alias: Alias


class NewEvaluation(Request):
    """What to compare.

    `candidate` and `baseline` are checkpoint ids, or folders that are registered on the way;
    `policy` is a shipped policy's name, a policy id, or YAML text. `template` is the chat template
    that both sides are rendered with: the baseline's, or the candidate's.
    """

    candidate: Location
    baseline: AliasOf | Location
    policy: Annotated[Plain, Field(min_length=1, max_length=200_000)]
    tier: Tier = "standard"
    split: Split = "screen"
    task_data: Location | None = None
    template: Location = "baseline"
    repairs: CheckpointId | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] = 0


class Job(Reply):
    """How far a piece of work is. `status` is never a verdict."""

    id: str
    project: str
    status: Status
    error: str | None
    priority: int
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime


class Evaluation(Job):
    """An evaluation; `verdict` is null until there is one, and only then says anything."""

    verdict: Decision | None
    candidate: str
    baseline: str
    policy: str
    tier: Tier
    split: Split
    template: str
    task_data: str | None
    task_data_sha256: str | None
    repairs: str | None
    remediation: str | None
    remediations: tuple[str, ...]
    cost: dict[str, Any]


class Event(Reply):
    """What happened to a job; `seq` is the id that a stream resumes after."""

    seq: int
    job: str
    kind: str
    document: dict[str, Any]
    created_at: datetime


class Item(Reply):
    """One side's trial or measure of one item. `text` is what the model said, where allowed."""

    side: str
    probe: str
    item: str
    variant: str
    cluster: str | None
    group: str | None
    outcome: str | None
    badness: float | None
    reason: str | None
    value: float | None
    weight: float | None
    unit: str | None
    answer: dict[str, Any] | None = None


class Flip(Reply):
    """An item whose outcome differs between baseline and candidate."""

    probe: str
    item: str
    variant: str
    cluster: str | None
    group: str | None
    baseline: str
    candidate: str
    direction: Literal["worse", "fixed", "unscored"]


# --- remediations ---------------------------------------------------------------------------


class RepairOptions(Request):
    """Knobs of a recipe, as in a plan; what is left out has the plan's default.

    Paths are not among them: what is read and written is the worker's to say.
    """

    candidate_weight: float | None = None
    start: Literal["baseline", "candidate"] | None = None
    mix: Mix | None = None
    steps: Annotated[int, Field(ge=1, le=100_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    max_length: Annotated[int, Field(ge=8, le=131_072)] | None = None
    learning_rate: float | None = None
    warmup_steps: Annotated[int, Field(ge=0, le=100_000)] | None = None
    decay_from: float | None = None
    store: Literal["source", "fp32"] | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class NewRemediation(Request):
    """Repair the candidate of an evaluation that failed."""

    evaluation: EvaluationId
    recipe: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
    options: RepairOptions = RepairOptions()


class Remediation(Job):
    """A repair: its plan, how far the training is, and what came out."""

    evaluation: str
    recipe: str
    options: dict[str, Any]
    plan: dict[str, Any] | None
    progress: dict[str, Any]
    checkpoint: str | None
    child_evaluation: str | None


# --- keys and catalogues --------------------------------------------------------------------


class NewKey(Request):
    """A key for this project."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=6)]
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class Key(Reply):
    """A key; `token` is there in the reply that made it, once, and never again."""

    id: str
    project: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    token: str | None = None


class Probe(Reply):
    """One probe of the catalogue; `items` maps a tier to how many it takes, null meaning all."""

    name: str
    metric: str
    suite: str | None
    judge: str | None
    items: dict[str, int | None]
    sliced: bool
    measure: bool
    built: bool


class Suite(Reply):
    """A built-in suite."""

    name: str
    digest: str
    items: int
    splits: dict[str, int]


class Judge(Reply):
    """A built judge; a changed digest makes runs incomparable."""

    id: str
    sha256: str
    probes: tuple[str, ...]


class Readiness(Reply):
    """Whether requests can be served; without a broker jobs are accepted all the same."""

    status: Literal["ready", "degraded", "down"]
    database: Literal["up", "down"]
    broker: Literal["up", "degraded", "down"]
