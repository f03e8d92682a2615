"""Choose which of two objectives a step trains: pure functions of the losses measured so far.

ALRIGHT draws, MAXRIGHT takes the one with the larger weighted gap (https://arxiv.org/abs/2410.15483).
MAXRIGHT is a min-max rule: it levels the two weighted gaps, it does not minimise their sum, so the
same weight means another compromise than it does for ALRIGHT. Its losses are allowed to be old:
the objective that is trained is measured by its own step, and both every k steps. On rows that
nothing trains on they are measured every k steps alone: a step's own batch is then no measure.

A gap may be negative: a loss below what was taken for its optimum is the further ahead. Were it cut
off at 0, two losses below their optima would be level, and every tie would train the same side.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from scipy.stats import binom

Objective = Literal["task", "preference"]
OBJECTIVES: tuple[Objective, Objective] = ("task", "preference")
BAND = 0.99
AT_OPTIMUM = 1e-4  # nats, as in the authors' code


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

    Without optima the least losses so far stand for them. `fixed`: whether losses are those on a
    fixed slice. `ties`: what is trained where both gaps are equal.
    """

    share: float
    optima: Mapping[Objective, float] | None
    every: int = 10
    ema: float = 0.0
    hysteresis: float = 0.0
    fixed: bool = False
    ties: Objective = "preference"


@dataclass(frozen=True, slots=True)
class RuleState:
    """The rule's memory of each loss: its age in steps, what was trained last, the least so far."""

    losses: Mapping[Objective, float]
    ages: Mapping[Objective, int]
    last: Objective | None = None
    least: Mapping[Objective, float] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """The state as plain values, to be saved with a run."""
        return {
            "losses": dict(self.losses),
            "ages": dict(self.ages),
            "last": self.last,
            "least": dict(self.least),
        }


EMPTY_STATE = RuleState({}, {})


def objectives_to_measure(rule: Rule, state: RuleState, step: int) -> tuple[Objective, ...]:
    """The objectives whose loss is to be measured, without training, before `step`.

    Both every k steps, so that they are compared at the same weights; with k = 1 the exact rule.
    """
    if step % rule.every == 0:
        return OBJECTIVES
    return tuple(objective for objective in OBJECTIVES if objective not in state.losses)


def record_loss(rule: Rule, state: RuleState, objective: Objective, loss: float) -> RuleState:
    """The state with a fresh loss; the older the value it replaces, the less that one counts."""
    if objective in state.losses and not rule.fixed:
        weight = rule.ema ** max(1, state.ages[objective])
        loss = weight * state.losses[objective] + (1 - weight) * loss
    return replace(
        state,
        losses={**state.losses, objective: loss},
        ages={**state.ages, objective: 0},
        least={**state.least, objective: min(loss, state.least.get(objective, loss))},
    )


def weighted_gaps(rule: Rule, state: RuleState) -> dict[Objective, float]:
    """Each loss above its optimum, times the objective's weight; negative for one below it."""
    weights: dict[Objective, float] = {"task": 1 - rule.share, "preference": rule.share}
    optima = state.least if rule.optima is None else rule.optima
    return {
        objective: weights[objective] * (state.losses[objective] - optima[objective])
        for objective in OBJECTIVES
    }


def has_reached_optimum(rule: Rule, state: RuleState) -> bool:
    """Whether either loss is down to its optimum, which has to be known beforehand."""
    if rule.optima is None or not state.losses:
        return False
    return any(
        state.losses[objective] - rule.optima[objective] <= AT_OPTIMUM for objective in OBJECTIVES
    )


def choose_objective(rule: Rule, state: RuleState) -> Objective:
    """The objective with the larger weighted gap; where both are equal, what `ties` says.

    An objective that was trained last is left only for a gap that is larger by the hysteresis.
    With a share of 0 or 1 there is nothing to choose.
    """
    if rule.share in {0, 1}:
        return "preference" if rule.share else "task"
    gaps = weighted_gaps(rule, state)
    ahead = gaps["preference"] - gaps["task"]
    to_leave = {"preference": -rule.hysteresis, "task": rule.hysteresis, None: 0.0}[state.last]
    if ahead == to_leave:
        return rule.ties
    return "preference" if ahead > to_leave else "task"


def record_step(rule: Rule, state: RuleState, objective: Objective, loss: float) -> RuleState:
    """The state after a step on `objective` with loss `loss`: every value is a step older."""
    state = state if rule.fixed else record_loss(rule, state, objective, loss)
    return replace(state, last=objective, ages={name: age + 1 for name, age in state.ages.items()})
