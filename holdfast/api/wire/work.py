"""Jobs on the wire: evaluations, what they found, remediations, events."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from holdfast.api.wire.body import (
    CheckpointId,
    EvaluationId,
    Location,
    Name,
    Plain,
    ReplyBody,
    RequestBody,
    refuse_unstorable,
)
from holdfast.api.wire.registered import AliasOf
from holdfast.job import EventKind, SideName, Split, Status, Tier
from holdfast.ladder.front import Scores
from holdfast.policy.model import Budget, Scalar, TemplateArguments
from holdfast.repairs.compromise import Compromise
from holdfast.repairs.knobs import (
    Anchor,
    Averaging,
    Constrained,
    Graft,
    Hma,
    OneShot,
    Penalty,
    Preference,
    SafeGradient,
    Steering,
    Straying,
    SystemTurn,
)
from holdfast.repairs.plan import Lora, Mix, Reduction, Watching
from holdfast.verdict.outcome import Decision


class Cause(RequestBody):
    """The CI run that submitted an evaluation, as its variables tell; nothing hangs on it."""

    repository: Name | None = None
    commit: Name | None = None
    branch: Name | None = None
    pull_request: Annotated[int, Field(ge=1, le=2**53)] | None = None
    run_url: Annotated[Plain, Field(max_length=2000, pattern=r"^https?://")] | None = None


LabelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Labels = Annotated[dict[LabelName, Annotated[Plain, Field(max_length=200)]], Field(max_length=20)]


class NewEvaluation(RequestBody):
    """A candidate to compare with a baseline under a policy.

    `candidate` and `baseline` are checkpoint ids, or folders that are registered on the way, the
    candidate with the LoRA `adapter` whose base it is, if one is given;
    `policy` is a shipped policy's name, a policy id, or YAML text. `template` is the chat template
    that both sides are rendered with: the baseline's, or the candidate's; `template_arguments` are
    what it is told where the policy tells it nothing of that name. `anchor` is a second
    baseline, pinned; left out, it is the project's alias `anchor` where there is one. `cause` and
    `labels` are for people: what an evaluation is found by again.
    """

    candidate: Location
    adapter: Location | None = None
    baseline: AliasOf | Location
    anchor: AliasOf | Location | None = None
    policy: Annotated[Plain, Field(min_length=1, max_length=200_000)]
    tier: Tier = "standard"
    split: Split = "screen"
    task_data: Location | None = None
    template: Location = "baseline"
    template_arguments: TemplateArguments = Field(default={})
    repairs: CheckpointId | None = None
    cause: Cause | None = None
    labels: Labels = Field(default={})
    priority: Annotated[int, Field(ge=-100, le=100)] = 0

    @model_validator(mode="after")
    def _storable(self) -> Self:
        refuse_unstorable(self.template_arguments)
        return self


class Job(ReplyBody):
    """How far a piece of work is. `status` is never a verdict."""

    id: str
    project: str
    status: Status
    error: str | None
    priority: int
    principal: str | None = None
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime


class Evaluation(Job):
    """An evaluation; `verdict` is null until there is one, and only then says anything.

    `line` is the alias that its baseline was named by.
    """

    verdict: Decision | None
    candidate: str
    baseline: str
    anchor: str | None
    policy: str
    tier: Tier
    split: Split
    template: str
    template_arguments: dict[str, Scalar] = Field(default={})
    task_data: str | None
    task_data_sha256: str | None
    cause: dict[str, Any] | None = None
    labels: dict[str, str] = Field(default={})
    line: str | None = None
    repairs: str | None
    remediation: str | None
    remediations: tuple[str, ...]
    cost: dict[str, Any]


class Event(ReplyBody):
    """One event of a job; `seq` is the id that a stream resumes after."""

    seq: int
    job: str
    kind: EventKind | Status | str
    document: dict[str, Any]
    created_at: datetime


class Item(ReplyBody):
    """One side's trial or measure of one item. `text` is what the model said, where allowed."""

    side: SideName | str
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


class Flip(ReplyBody):
    """An item whose outcome differs between baseline and candidate."""

    probe: str
    item: str
    variant: str
    cluster: str | None
    group: str | None
    baseline: str
    candidate: str
    direction: Literal["worse", "fixed", "unscored"]


class RepairOptions(RequestBody):
    """Knobs of a recipe, as in a plan; what is left out has the plan's default.

    Those of other recipes change nothing, as in a plan. Paths are not among them: what is read and
    written is the worker's to say.
    """

    candidate_weight: float | None = None
    hma: Hma | None = None
    graft: Graft | None = None
    sma: Averaging | None = None
    serving: SystemTurn | None = None
    safe_merge: Straying | None = None
    start: Literal["baseline", "candidate"] | None = None
    preference: Preference | None = None
    reduction: Reduction | None = None
    mix: Mix | None = None
    steps: Annotated[int, Field(ge=1, le=100_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    max_length: Annotated[int, Field(ge=8, le=131_072)] | None = None
    learning_rate: float | None = None
    force: bool | None = None
    warmup_steps: Annotated[int, Field(ge=0, le=100_000)] | None = None
    decay_from: float | None = None
    store: Literal["source", "fp32"] | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    freeze: Annotated[tuple[str, ...], Field(max_length=1000)] | None = None
    lora: Lora | None = None
    gradient_checkpointing: bool | None = None
    watch: Watching | None = None
    steer: Steering | None = None
    anchor: Anchor | None = None
    penalty: Penalty | None = None
    constrained: Constrained | None = None
    safe_gradient: SafeGradient | None = None
    oneshot: OneShot | None = None

    @model_validator(mode="after")
    def _storable(self) -> Self:
        refuse_unstorable(self.model_dump())
        return self

    @property
    def explicit_knobs(self) -> dict[str, Any]:
        """The knobs that the request sets, as JSON; a null inside a knob is one of its values."""
        knobs = self.model_dump(mode="json", exclude_unset=True)
        return {name: value for name, value in knobs.items() if value is not None}


RecipeName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]


class NewRemediation(RequestBody):
    """Repair the candidate of an evaluation that failed.

    Recipe `auto` climbs the ladder of recipes within `budget` (default: the policy's), and after a
    repair is found goes on for the whole front where `complete_front` says so. With `only`, recipes
    by name, it climbs those alone; `hma` by name is searched on the gate's own checks.
    """

    evaluation: EvaluationId
    recipe: RecipeName
    options: RepairOptions = RepairOptions()
    budget: Budget | None = None
    complete_front: bool = False
    only: tuple[RecipeName, ...] = ()


class Remediation(Job):
    """A repair: its plan, how far the training is, and what came out.

    `compromise` is of recipes with two objectives, once they have ended.
    """

    evaluation: str
    recipe: str
    options: dict[str, Any]
    plan: dict[str, Any] | None
    progress: dict[str, Any]
    checkpoint: str | None
    child_evaluation: str | None
    parent: str | None = None
    compromise: Compromise | None = None


class Candidate(ReplyBody):
    """One try of a repair: how it was made, what it scored on `screen`, and how it compares.

    `verdict` is that of the screening, `confirmed` that on held-out items where it was asked them.
    `pareto`: no other whole screening beats it in every score; a dropped one is never on the front.
    `compromise` is of recipes with two objectives.
    """

    id: str
    recipe: str
    options: dict[str, Any]
    status: Status
    error: str | None
    dropped: str | None
    verdict: Decision | None
    resisted: tuple[str, ...]
    confirmed: Decision | None
    scores: Scores
    pareto: bool
    chosen: bool
    seconds: float
    tokens: int
    checkpoint: str | None
    screen_evaluation: str | None
    confirm_evaluation: str | None
    compromise: Compromise | None = None
