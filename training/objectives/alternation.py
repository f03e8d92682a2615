"""Choose which of two objectives a step trains: pure functions of the losses measured so far.

ALRIGHT draws, MAXRIGHT takes the one with the larger weighted gap (https://arxiv.org/abs/2410.15483).
MAXRIGHT is a min-max rule: it levels the two weighted gaps, it does not minimise their sum, so the
same weight means another compromise than it does for ALRIGHT. Its losses are allowed to be old:
the objective that is trained is measured by its own step, the other one every k steps. Or both are
every k steps, on rows that nothing trains on: what a step says of its own batch is then no measure.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from scipy.stats import binom

Objective = Literal["task", "preference"]
OBJECTIVES: tuple[Objective, Objective] = ("task", "preference")
BAND = 0.99


def draw_objective(seed: int, step: int, share: float) -> Objective:
    """ALRIGHT's draw for one step: the preference objective with probability `share`.

    It hangs on seed and step alone, so neither a restart nor the number of processes changes it.
    """
    digest = hashlib.sha256(f"alright/{seed}/{step}".encode()).digest()
    uniform = int.from_bytes(digest[:8]) / 2**64
    return "preference" if uniform < share else "task"


def band(share: float, steps: int) -> tuple[float, float]:
    """Where the share of preference steps lies in 99 of 100 runs of so many draws."""
    low, high = binom.interval(BAND, steps, share)
    return float(low) / steps, float(high) / steps


@dataclass(frozen=True, slots=True)
class Rule:
    """MAXRIGHT's settings: `optima` are the least losses reached alone; see `Preference`.

    `fixed`: whether losses are those on a fixed slice.
    """

    share: float
    optima: Mapping[Objective, float]
    every: int = 10
    ema: float = 0.0
    hysteresis: float = 0.0
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class RuleState:
    """The rule's memory: each loss, how many steps ago it was measured, what was trained last."""

    losses: Mapping[Objective, float]
    ages: Mapping[Objective, int]
    last: Objective | None = None

    def to_plain(self) -> dict[str, Any]:
        """The state as plain values, to be saved with a run."""
        return {"losses": dict(self.losses), "ages": dict(self.ages), "last": self.last}


EMPTY_STATE = RuleState({}, {})


def objectives_to_measure(rule: Rule, state: RuleState, step: int) -> tuple[Objective, ...]:
    """The objectives whose loss is to be measured, without training, before `step`.

    Every k steps, those whose loss is not of the step before, and both on a fixed slice; with k = 1
    both, at every step, which is the exact rule.
    """
    missing = tuple(objective for objective in OBJECTIVES if objective not in state.losses)
    if step % rule.every:
        return missing
    allowed = 0 if rule.every == 1 or rule.fixed else 1
    return tuple(
        objective
        for objective in OBJECTIVES
        if objective in missing or state.ages[objective] > allowed
    )


def record_loss(rule: Rule, state: RuleState, objective: Objective, loss: float) -> RuleState:
    """The state with a fresh loss; the older the value it replaces, the less that one counts."""
    if objective in state.losses and not rule.fixed:
        weight = rule.ema ** max(1, state.ages[objective])
        loss = weight * state.losses[objective] + (1 - weight) * loss
    return replace(
        state, losses={**state.losses, objective: loss}, ages={**state.ages, objective: 0}
    )


def weighted_gaps(rule: Rule, state: RuleState) -> dict[Objective, float]:
    """Each loss above its optimum (never below 0), times the objective's weight."""
    weights: dict[Objective, float] = {"task": 1 - rule.share, "preference": rule.share}
    return {
        objective: weights[objective] * max(state.losses[objective] - rule.optima[objective], 0.0)
        for objective in OBJECTIVES
    }


def choose_objective(rule: Rule, state: RuleState) -> Objective:
    """The objective with the larger weighted gap; the preferences where both are equal.

    An objective that was trained last is left only for a gap that is larger by the hysteresis.
    With a share of 0 or 1 there is nothing to choose.
    """
    if rule.share in {0, 1}:
        return "preference" if rule.share else "task"
    gaps = weighted_gaps(rule, state)
    ahead = gaps["preference"] - gaps["task"]
    if state.last == "preference":
        return "preference" if ahead >= -rule.hysteresis else "task"
    if state.last == "task":
        return "preference" if ahead >= rule.hysteresis else "task"
    return "preference" if ahead >= 0 else "task"


def record_step(rule: Rule, state: RuleState, objective: Objective, loss: float) -> RuleState:
    """The state after a step on `objective` with loss `loss`: every value is a step older."""
    state = state if rule.fixed else record_loss(rule, state, objective, loss)
    return replace(state, last=objective, ages={name: age + 1 for name, age in state.ages.items()})
