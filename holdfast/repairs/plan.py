"""Plans: what a training child is told to do, as a file that a person could have written.

A worker writes `plan.json` and starts `python -m training plan.json`; the child knows nothing of
evaluations, rows or queues, so every repair can be repeated by hand. Unknown keys are refused: a
misspelt knob must not silently fall back to a default.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from holdfast.errors import InvalidPlan, first_problem
from holdfast.repairs.knobs import (
    KNOBS,
    Anchor,
    Constrained,
    Graft,
    Hma,
    OneShot,
    Penalty,
    Preference,
    SafeGradient,
    SafeMerge,
    Serving,
    Sma,
    Steering,
)
from holdfast.repairs.recipes import RECIPES, Kind, Recipe, RecipeSpec

Reduction = Literal["token_mean_global", "token_mean_batch", "seq_sum_mean"]

MAX_LEARNING_RATE = 1e-3  # beyond it a full fine-tune of an aligned model is a mistake
MEAN_TOLERANCE = 1e-6


class Mix(BaseModel):
    """Shares of a batch: task rows, refusals of harmful requests, answered look-alikes.

    The default is the measured one: with more refusals a model "repairs" itself by refusing
    everything (docs/benchmarks.md).
    """

    model_config = KNOBS

    task: float = Field(default=0.28, ge=0, le=1)
    refusals: float = Field(default=0.37, ge=0, le=1)
    answers: float = Field(default=0.35, ge=0, le=1)

    @model_validator(mode="after")
    def _adds_up(self) -> "Mix":
        total = self.task + self.refusals + self.answers
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of the mix add up to {total:.4g}, expected 1")
        return self


class Lora(BaseModel):
    """A low-rank adapter, trained in place of the weights and merged into them in the end.

    `targets` are names of linear layers, such as q_proj; none stands for every one of the blocks.
    `keep` leaves the adapter too, as a folder that peft loads, in OUTPUT-adapter.
    """

    model_config = KNOBS

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    targets: tuple[str, ...] = ()
    keep: bool = False


class Watching(BaseModel):
    """When a run that trains is looked at, and from where on its refusals count as gone.

    `limit` is the mean of -log p, in nats a token, over the first tokens of `rows` refusals of the
    baseline. Looked at before steps 0, 1, 2, 4, 8, 16 and every `every`, and after the last.
    """

    model_config = KNOBS

    every: int = Field(default=16, ge=1)
    limit: float = Field(default=1.0, gt=0)
    rows: int = Field(default=16, ge=1)


class Plan(BaseModel):
    """One run of one recipe. Paths are absolute; `output` must not exist yet.

    `task_data` and `rehearsal_data` are JSON Lines of {"prompt", "completion"}; rows of the latter
    also carry "kind": "refusal" | "answer". `candidate_weight` w is the weight of the candidate in
    (1 - w) * baseline + w * candidate. What is no weight (config, tokenizer, template) is copied
    from `start`. `store` is the dtype on disk: the start checkpoint's own, or fp32 where rounding
    to bf16 would swallow the repair. `freeze` are shell patterns of parameter names. `resume` is a
    folder in which a run that is killed leaves what it needs to go on; the same plan goes on there.
    `adapter` is what `merge_adapter` adds to the baseline.
    `preference_data` is JSON Lines of {"prompt", "chosen", "rejected"}; `reference_cache` is where
    the baseline's log-probabilities of them are kept, which need computing once only.
    `response_data` is JSON Lines of {"prompt", "completion", "kind": "task" | "refusal", "by":
    "candidate" | "baseline"}: answers that somebody judged good, which `hma` makes likely.
    """

    model_config = KNOBS

    version: Literal[1] = 1
    recipe: Recipe
    baseline: Path
    candidate: Path | None = None
    adapter: Path | None = None
    output: Path
    seed: int = Field(default=0, ge=0)

    candidate_weight: float = Field(default=0.8, ge=0, le=1)
    hma: Hma = Hma()
    graft: Graft = Graft()
    sma: Sma = Sma()
    serving: Serving = Serving()
    safe_merge: SafeMerge = SafeMerge()

    start: Literal["baseline", "candidate"] = "baseline"
    task_data: Path | None = None
    rehearsal_data: Path | None = None
    preference_data: Path | None = None
    reference_cache: Path | None = None
    response_data: Path | None = None
    preference: Preference = Preference()
    reduction: Reduction = "token_mean_global"
    mix: Mix = Mix()
    steps: int = Field(default=60, ge=1)
    batch_size: int = Field(default=8, ge=1)
    max_length: int = Field(default=96, ge=8)
    learning_rate: float = Field(default=5e-5, gt=0)
    force: bool = False
    warmup_steps: int = Field(default=5, ge=0)
    decay_from: float = Field(default=0.6, gt=0, le=1)
    store: Literal["source", "fp32"] = "source"

    freeze: tuple[str, ...] = ()
    lora: Lora | None = None
    gradient_checkpointing: bool = False
    watch: Watching | None = None
    steer: Steering | None = None
    anchor: Anchor = Anchor()
    penalty: Penalty = Penalty()
    constrained: Constrained = Constrained()
    safe_gradient: SafeGradient = SafeGradient()
    oneshot: OneShot = OneShot()
    resume: Path | None = None
    save_seconds: float = Field(default=120.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_recipe(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for name, spec in RECIPES.items():
                if name == given.get("recipe"):
                    return {**spec.defaults, **given}
        return given

    @model_validator(mode="after")
    def _no_silly_rate(self) -> "Plan":
        if self.learning_rate > MAX_LEARNING_RATE and not self.force:
            raise ValueError(
                f"learning_rate is {self.learning_rate:g}, and above {MAX_LEARNING_RATE:g} an "
                "aligned model is lost within steps; set force to do it nevertheless"
            )
        return self

    @model_validator(mode="after")
    def _ratios_around_their_mean(self) -> "Plan":
        if self.hma.ratios is not None:
            mean = sum(self.hma.ratios) / len(self.hma.ratios)
            if abs(mean - self.candidate_weight) > MEAN_TOLERANCE:
                raise ValueError(
                    f"the mean of hma.ratios is {mean:g}, but candidate_weight is "
                    f"{self.candidate_weight:g}; set both to the same"
                )
        return self

    @model_validator(mode="after")
    def _an_adapter_that_is_shipped(self) -> "Plan":
        if self.lora is not None and self.lora.keep and self.spec.bounded:
            raise ValueError(
                f"lora.keep: {self.recipe} moves the merged weights back until they are within its "
                "bound, so what it ships is not its adapter; leave out keep"
            )
        return self

    @model_validator(mode="after")
    def _room_to_steer(self) -> "Plan":
        if self.steer is None:
            return self
        if not self.spec.steers:
            raise ValueError(f"recipe {self.recipe} has no mix to steer; leave out steer")
        share = self.mix.refusals + self.mix.answers
        if not 0 < share <= self.steer.most:
            raise ValueError(
                f"the mix holds {share:.3g} safety rows, and steer.most is {self.steer.most:g}: "
                "there must be some, and no more than that"
            )
        return self

    @property
    def spec(self) -> RecipeSpec:
        """The table row of its recipe."""
        return RECIPES[self.recipe]

    @property
    def source_rows(self) -> dict[Kind, int]:
        """How many rows its steps take of every source: of the whole run, or of its one batch."""
        rows = self.batch_size if self.spec.one_batch else self.steps * self.batch_size
        return rows_drawn(self.mix, rows)

    @property
    def telling_refusals(self) -> int:
        """How many refusals say which directions are safe, or are chosen from."""
        if self.spec.subspace:
            return self.safe_gradient.rows
        return self.oneshot.choose_from if self.spec.one_batch and self.mix.refusals else 0

    @property
    def bound_rows(self) -> int:
        """How many rows a bound is checked on, which train nothing."""
        return self.anchor.rows if self.spec.bounded else 0

    @property
    def sliced_rows(self) -> int:
        """How many rows, and how many pairs, are measured and train nothing."""
        return (self.preference.slice or 0) if self.spec.sliced else 0

    @property
    def adapter_folder(self) -> Path | None:
        """Where the run leaves its adapter, beside the checkpoint; None if it is not to."""
        wanted = self.lora is not None and self.lora.keep
        return self.output.with_name(f"{self.output.name}-adapter") if wanted else None

    @property
    def watched_refusals(self) -> int:
        """How many refusals are looked at while it trains, and train nothing."""
        moving = self.anchor.moving if self.spec.bounded else None
        knobs = (self.watch, self.steer, moving)
        return max((knob.rows for knob in knobs if knob is not None), default=0)

    @property
    def start_checkpoint(self) -> Path:
        """The folder that training starts from; InvalidPlan if the plan does not name it."""
        if self.start == "baseline":
            return self.baseline
        if self.candidate is None:
            raise InvalidPlan("the plan starts from the candidate but names none; add `candidate`")
        return self.candidate


def without_refusals(mix: Mix) -> Mix:
    """The mix of a recipe that learns to refuse from pairs: task rows and answered look-alikes.

    Preferring refusals, with no look-alike answered beside it, teaches to refuse those as well.
    """
    total = mix.task + mix.answers
    if not total:
        raise InvalidPlan("the mix holds refusals alone; pairs bring those, give task or answers")
    return Mix(task=mix.task / total, refusals=0, answers=1 - mix.task / total)


def rows_drawn(mix: Mix, rows: int) -> dict[Kind, int]:
    """How many of a run's `rows` come from each source: exact, by largest remainder.

    The order task, refusal, answer breaks ties. A rehearsal pool needs no more rows than this.
    """
    shares: dict[Kind, float] = {"task": mix.task, "refusal": mix.refusals, "answer": mix.answers}
    # a share such as .38 is a hair off in binary; 50 rows of it are 19, not 18.999…
    exact = {kind: round(share * rows, 9) for kind, share in shares.items()}
    drawn = {kind: int(count) for kind, count in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: drawn[kind] - exact[kind])
    for kind in by_remainder[: rows - sum(drawn.values())]:
        drawn[kind] += 1
    return drawn


def read_plan(path: Path) -> Plan:
    """Read a plan file, or say in one sentence what is wrong with it."""
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidPlan(f"plan {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InvalidPlan(f"plan {path}: {first_problem(error, 'the file')}") from error
