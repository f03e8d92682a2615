"""The parts of a verdict as they stand in its JSON: rules, groups and checks.

Six outcomes of a check, never two: what is missing, open or broken is named as such and is neither
a pass nor a fail. Values only; `settle` makes them and `report` shows them.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from holdfast.policy.model import CheckTier

Decision = Literal["pass", "fail", "inconclusive"]
RuleName = Literal["max", "max_regression", "max_incoherent", "per_group", "gap", "min_gain_kept"]
Against = Literal["parent", "anchor"]  # what a rule compares the candidate with
Interval = tuple[float, float]
CheckOutcome = Literal["pass", "fail", "inconclusive", "missing", "error", "waived"]

FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class RuleResult(BaseModel):
    """One rule, in one group where it is sliced; estimate, ci and margin are in one unit."""

    model_config = FROZEN
    rule: RuleName
    against: Against = "parent"
    group: str | None
    tier: CheckTier
    outcome: Decision
    n: int
    clusters: int
    estimate: float | None
    ci: Interval | None
    margin: float
    p_pass: float
    p_fail: float
    p_fail_adjusted: float
    mde: float | None
    items_to_decide: int | None
    reason: str


class GroupRow(BaseModel):
    """One group's own numbers, and what `per_group` says of it where that is asked.

    `forgetting` F is the mean change of its items, `biased` F minus that of all others, `p_biased`
    (by shuffles, Holm-adjusted) of "it lost no more than they", `relative` F as a share of the
    accuracy above chance, `shrunken` F less what chance explains. None of these decides anything.
    """

    model_config = FROZEN
    group: str
    outcome: Decision | None = None
    n: int
    n_unscored: int
    baseline: float | None
    candidate: float | None
    delta: float | None
    ci: Interval | None = None
    margin: float | None = None
    p_pass: float | None = None
    p_fail: float | None = None
    p_fail_adjusted: float | None = None
    forgetting: float | None = None
    relative: float | None = None
    biased: float | None = None
    p_biased: float | None = None
    shrunken: float | None = None


class GroupSpread(BaseModel):
    """How unequally the groups forgot (F a group): informs and decides nothing.

    `gap` is the worst F above the overall one, `sd` weighted by items. Shuffled group labels
    give a range of `range_95` or less in 95 % of the shuffles, and one of `range` with `p_range`.
    """

    model_config = FROZEN
    overall: float
    macro: float
    range: float
    gap: float
    sd: float
    p_range: float
    range_95: float


class BiasRow(BaseModel):
    """BBQ's bias score in one kind of context, of all items or of one group; decides nothing.

    Scores lie in [-1, 1] and 0 is even; a score of 0 with nobody `named` is not defined.
    """

    model_config = FROZEN
    context: str
    group: str | None
    n: int
    baseline: float
    candidate: float
    baseline_named: int
    candidate_named: int
    baseline_accuracy: float
    candidate_accuracy: float


class Figure(BaseModel):
    """One number of each side; None where it could not be had."""

    model_config = FROZEN
    name: str
    baseline: float | None
    candidate: float | None


class CheckResult(BaseModel):
    """One check. ci, margin and p values are those of its first rule; `rules` has every one.

    `figures` are numbers beside it that decide nothing.
    """

    model_config = FROZEN
    id: str
    outcome: CheckOutcome
    tier: CheckTier
    metric: str
    n: int
    n_unscored: int
    baseline: float | None
    candidate: float | None
    delta: float | None
    anchor: float | None = None
    ci: Interval | None = None
    margin: float | None = None
    p_pass: float | None = None
    p_fail: float | None = None
    p_fail_adjusted: float | None = None
    mde: float | None = None
    groups: tuple[GroupRow, ...] = ()
    spread: GroupSpread | None = None
    bias: tuple[BiasRow, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    figures: tuple[Figure, ...] = ()
    reason: str


class Comparability(BaseModel):
    """Whether the files may be set side by side, and what stands in the way of a verdict."""

    model_config = FROZEN
    comparable: bool
    differences: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    alarm_only: bool = False  # a canary run: it may fail, it never passes
    compared: str | None = None  # the one difference that the policy sets out to measure

    @property
    def may_pass(self) -> bool:
        """Whether nothing stands in the way of a pass."""
        return self.comparable and not (self.obstacles or self.alarm_only)

    @model_serializer(mode="wrap")
    def _without_unset_fields(self, render: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `compared` where it is not set, as verdicts were before it could be."""
        content: dict[str, Any] = render(self)
        if self.compared is None:
            content.pop("compared", None)
        return content


class Cost(BaseModel):
    """The cost of getting the evidence; no part of the verdict's digest."""

    model_config = FROZEN
    tokens: int
    seconds: float
    device: str
