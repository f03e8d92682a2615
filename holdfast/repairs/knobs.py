"""Knobs of one family of recipes each in a plan; docs/repairs.md says when to turn which.

Defaults are meant for a model of 135 million weights and runs of some sixty steps.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Divergence = Literal["forward_kl", "reverse_kl"]
Controller = Literal["doubling", "pid", "ziegler"]
Fisher = Literal["true", "empirical"]
SafeForm = Literal["conflict", "null_space"]
MmpoName = Literal["ultrafeedback-2b", "ultrafeedback-7b"]

KNOBS = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Moving(BaseModel):
    """Of `anchor.moving`: a bound that follows what is lost of the refusals.

    At every look of the anchor the first tokens of `rows` refusals of the baseline are scored,
    which no step trains on. Above `limit`, in nats a token, the bound that the controller holds is
    divided by 1.5, down to `least` of the given one; else it grows by a ninth, back to the given
    one, which is never exceeded.
    """

    model_config = KNOBS

    limit: float = Field(default=0.5, gt=0)
    rows: int = Field(default=16, ge=1)
    least: float = Field(default=0.2, gt=0, le=1)


class Anchor(BaseModel):
    """Of recipe `kl_anchor`: how far the policy may move from the baseline on rehearsal rows.

    `bound` is in nats a token, the mean over `rows` held-out rows; None stands for three times what
    the baseline differs from itself under other arithmetic. `weight` is what the divergence counts
    beside the task's loss at first; the controller then moves it. The held-out rows are looked at
    every `every` steps. `moving` tightens the bound while refusals go. `by_risk` weighs the
    divergence in each step by how much the prompts of its task rows look like those that the
    baseline refuses. `cache_mb` bounds the baseline's log-probabilities that are kept; where
    they take more, the baseline itself stays in memory and is asked again.
    """

    model_config = KNOBS

    divergence: Divergence = "forward_kl"
    bound: float | None = Field(default=0.05, ge=0)
    controller: Controller = "pid"
    weight: float = Field(default=1.0, gt=0)
    every: int = Field(default=5, ge=1)
    rows: int = Field(default=16, ge=2)
    moving: Moving | None = None
    by_risk: bool = False
    cache_mb: int = Field(default=2048, ge=0)


class Penalty(BaseModel):
    """How strongly `l2_anchor`, `l1_anchor`, `ewc` and `kd` hold on; each reads its own strength.

    `fisher`: whether EWC draws the answers whose gradients it squares from the baseline (true), or
    takes those of the rehearsal rows (empirical); of `fisher_rows` rows.
    """

    model_config = KNOBS

    l2: float = Field(default=0.2, ge=0)
    l1: float = Field(default=1e-4, ge=0)
    ewc: float = Field(default=1000.0, ge=0)
    kd: float = Field(default=0.1, ge=0)
    fisher: Fisher = "true"
    fisher_rows: int = Field(default=64, ge=1)


class Steering(BaseModel):
    """Of recipe `rehearsal`: how the share of safety rows follows what is lost of the refusals.

    Before every `every`-th step the first tokens of `rows` refusals of the baseline are scored,
    which no step trains on. Above `limit`, in nats a token, the share of refusals and answers
    together grows by a half, to `most` at most; else it falls by a tenth, back to that of the mix.
    How many of them are answers stays as it is: refusals alone would teach to refuse everything.
    """

    model_config = KNOBS

    every: int = Field(default=5, ge=1)
    limit: float = Field(default=0.5, gt=0)
    rows: int = Field(default=16, ge=1)
    most: float = Field(default=0.9, gt=0, le=1)


class Constrained(BaseModel):
    """Of recipe `constrained_sft`: beta of an answer's first token, of the next, of all later ones.

    The larger, the less a token is learnt beyond what the baseline thought of it.
    """

    model_config = KNOBS

    first: float = Field(default=0.5, gt=0)
    early: float = Field(default=2.0, gt=0)
    later: float = Field(default=0.1, gt=0)
    early_tokens: int = Field(default=5, ge=1)


class SafeGradient(BaseModel):
    """Of recipe `safe_gradient`: which directions of a step are taken back, by `rows` refusals.

    `conflict`: of the `rank` directions in which the refusals' loss changes most, for every weight,
    those along which the step raised it; they are found again every `every` steps. `null_space`:
    whatever changes a layer's output for the directions of its inputs on the refusals that hold the
    share `energy` of these; found once.
    """

    model_config = KNOBS

    form: SafeForm = "conflict"
    rows: int = Field(default=8, ge=1)
    rank: int = Field(default=10, ge=1)
    every: int = Field(default=10, ge=1)
    energy: float = Field(default=0.999, gt=0, le=1)


class OneShot(BaseModel):
    """Of recipe `oneshot`: its refusals are the most telling of the first `choose_from`."""

    model_config = KNOBS

    choose_from: int = Field(default=32, ge=1)


class Graft(BaseModel):
    """Of recipe `graft`: the share of the weights that stay the candidate's, those that moved most.

    Most of the whole model, or of every tensor by itself.
    """

    model_config = KNOBS

    keep: float = Field(default=0.1, gt=0, le=1)
    scope: Literal["model", "tensor"] = "model"


class Averaging(BaseModel):
    """Of recipe `sma`: how the mean of the weights is taken.

    `decay` makes it exponential: so much of the mean is kept at every step, the rest is the step's
    weights (None: every step counts as much).
    """

    model_config = KNOBS

    decay: float | None = Field(default=None, ge=0, lt=1)


class Sma(Averaging):
    """The mean of a run's weights, or of `checkpoints`: folders, where nothing is to be trained.

    Each counts as often as it is named, the start only where it is.
    """

    checkpoints: tuple[Path, ...] = ()

    @model_validator(mode="after")
    def _a_decay_of_steps(self) -> Self:
        if self.decay is not None and self.checkpoints:
            raise ValueError(
                "sma.decay weighs the steps of a run, and sma.checkpoints trains none; leave out "
                "one of them"
            )
        return self


class Straying(BaseModel):
    """Of recipe `safe_merge`: which layers count as having left the directions of alignment.

    Layers whose update has a cosine below `threshold` are averaged with `candidate_weight`, or keep
    only what lies in the directions that hold the share `energy` of the alignment.
    """

    model_config = KNOBS

    threshold: float = Field(default=0.35, ge=0, le=1)
    mode: Literal["average", "project"] = "average"
    energy: float = Field(default=0.9, gt=0, le=1)


class SafeMerge(Straying):
    """Straying with what it is compared to: `unaligned`, the baseline before its alignment."""

    unaligned: Path | None = None


class Hma(BaseModel):
    """Of recipe `hma`: one ratio for each of `groups` groups of blocks, from the first to the last.

    `layers` in place of a number gives every block its own. `scope` says what the ratios are of:
    all weights, or `linear` layers alone, where embeddings and norms are the baseline's.

    `ratios` are taken as they are, and their mean has to be the plan's `candidate_weight`. Without
    them they are searched: by `simplex`, which tries ratios on task rows and refusals, or by
    `gradient`, which makes the answers of a response set likely (training/merging). Both stay
    within `tries` passes over `rows` rows of each kind, beside the two that know the ends; a step
    by the gradient counts three. `floor` and `learning_rate` are the gradient's: the former is
    added to the sigmoid of every group's logit, the latter is how far those move in a step.
    """

    model_config = KNOBS

    groups: Annotated[int, Field(ge=1)] | Literal["layers"] = 3
    scope: Literal["model", "linear"] = "model"
    ratios: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    search: Literal["simplex", "gradient"] = "simplex"
    tries: int = Field(default=12, ge=1)
    rows: int = Field(default=32, ge=1)
    floor: float = Field(default=0.2, ge=0, le=1)
    learning_rate: float = Field(default=0.7, gt=0)

    @model_validator(mode="after")
    def _ratio_per_group(self) -> "Hma":
        if self.ratios is None:
            if self.groups == "layers" and self.search == "simplex":
                raise ValueError(
                    "a simplex over a ratio for every layer takes more tries than there are; "
                    "set search: gradient, or a number of groups"
                )
        elif not self.ratios or len(self.ratios) != self.groups != "layers":
            raise ValueError(f"{len(self.ratios)} ratios for {self.groups} groups; give one each")
        return self


# beta, gamma and the span of the scores whose differences gamma multiplies: UltraFeedback's, 1 to
# 10 (https://arxiv.org/abs/2410.03145 and its code). Their third, 1.1 on differences of votes in
# SHP, has no span and so means nothing elsewhere.
MMPO_PRESETS: dict[MmpoName, tuple[float, float, float]] = {
    "ultrafeedback-2b": (0.01, 2.2, 9.0),
    "ultrafeedback-7b": (0.01, 0.3, 9.0),
}


class Preference(BaseModel):
    """Knobs of the recipes that learn the task and prefer the baseline's answers at once.

    `share` is the weight of the preferences against the task's 1 - share: of the losses (`mix`),
    of the steps (`alright`, `sequential`), of the gaps (`maxright`). `pairs` are taken a step.
    `beta` is DPO's, a nat⁻¹; `gamma` turns it into MMPO, for pairs that carry a margin. `mmpo`
    names the authors' beta and gamma instead (MMPO_PRESETS), their gamma rescaled from the scale of
    their data to that of the margins: `margin_span`, between the worst and the best there can be.

    `first` is what `sequential` begins with. The others are `maxright`'s: both losses are measured
    again every `every` steps; measurements are averaged with weight `ema` a step; it
    changes sides only for a gap that is `hysteresis` larger. With a `slice`, so many rows and pairs
    train nothing, and the losses are those on them, and never averaged. `ties` says which side is
    trained where both gaps are equal: the paper's `preference`, or the authors' code's `task`.

    The optima are the least losses that either objective reaches alone (nats a token, nats a pair).
    One that is not given is `measured`, by a run on that objective alone of `optimum_steps` (None:
    as many as the plan has), or is the least loss so far (`running`). With `stop_at_optimum` the
    run ends where either loss has come down to its optimum.
    """

    model_config = KNOBS

    share: float = Field(default=0.5, ge=0, le=1)
    pairs: int = Field(default=4, ge=1)
    beta: float = Field(default=0.1, gt=0)
    gamma: float | None = Field(default=None, gt=0)
    mmpo: MmpoName | None = None
    margin_span: float = Field(default=1.0, gt=0)

    first: Literal["task", "preference"] = "task"

    every: int = Field(default=10, ge=1)
    ema: float = Field(default=0.0, ge=0, lt=1)
    slice: int | None = Field(default=None, ge=1)
    hysteresis: float = Field(default=0.0, ge=0)
    task_optimum: float | None = Field(default=None, ge=0)
    preference_optimum: float | None = Field(default=None, ge=0)
    optima: Literal["measured", "running"] = "measured"
    optimum_steps: int | None = Field(default=None, ge=1)
    ties: Literal["preference", "task"] = "preference"
    stop_at_optimum: bool = False

    @model_validator(mode="after")
    def _one_kind_of_optima(self) -> Self:
        given = (self.task_optimum, self.preference_optimum, self.optimum_steps)
        if self.optima == "running" and any(value is not None for value in given):
            raise ValueError(
                "optima: running takes the least losses so far, so it takes no task_optimum, "
                "preference_optimum or optimum_steps; leave these out, or set optima: measured"
            )
        return self

    @model_validator(mode="after")
    def _one_beta_and_gamma(self) -> Self:
        if self.mmpo is not None and {"beta", "gamma"} & self.model_fields_set:
            raise ValueError(
                f"mmpo: {self.mmpo} brings its own beta and gamma; leave out these, or mmpo"
            )
        return self

    @property
    def loss(self) -> tuple[float, float | None]:
        """Beta and gamma of the loss: a preset's, for margins of this span, or its own."""
        if self.mmpo is None:
            return self.beta, self.gamma
        beta, gamma, span = MMPO_PRESETS[self.mmpo]
        return beta, gamma * span / self.margin_span


class SystemTurn(BaseModel):
    """Of recipe `ptst`: `prompt` goes into the baseline's own template as the system turn."""

    model_config = KNOBS

    prompt: str = Field(
        default=(
            "You are a careful assistant. Be as useful as you can, and do not help with anything "
            "that could hurt people, break the law or invade somebody's privacy: say briefly that "
            "you will not."
        ),
        min_length=1,
    )


class Serving(SystemTurn):
    """The template that the candidate is served with; `template` is a file with a whole one."""

    template: Path | None = None
