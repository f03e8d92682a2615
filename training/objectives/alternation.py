"""Which of two objectives a step trains: pure functions of what is known, and nothing else.

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


def drawn(seed: int, step: int, share: float) -> Objective:
    """ALRIGHT's draw for one step: the preferences with probability `share`.

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
    """MAXRIGHT's: the optima are the least losses reached alone; see `Preference` for the rest.

    `fixed`: whether losses are those on a fixed slice.
    """

    share: float
    optima: Mapping[Objective, float]
    every: int = 10
    ema: float = 0.0
    hysteresis: float = 0.0
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the rule remembers: each loss, how many steps ago it was measured, what was trained."""

    losses: Mapping[Objective, float]
    ages: Mapping[Objective, int]
    last: Objective | None = None

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for a run that may be killed."""
        return {"losses": dict(self.losses), "ages": dict(self.ages), "last": self.last}


NOTHING = Known({}, {})


def to_measure(rule: Rule, known: Known, step: int) -> tuple[Objective, ...]:
    """The objectives whose loss is to be measured, without training, before `step`.

    Every k steps, those whose loss is not of the step before, and both on a fixed slice; with k = 1
    both, at every step, which is the exact rule.
    """
    missing = tuple(one for one in OBJECTIVES if one not in known.losses)
    if step % rule.every:
        return missing
    allowed = 0 if rule.every == 1 or rule.fixed else 1
    return tuple(one for one in OBJECTIVES if one in missing or known.ages[one] > allowed)


def measured(rule: Rule, known: Known, objective: Objective, loss: float) -> Known:
    """With a fresh loss; the older the value that it replaces, the less that one counts."""
    if objective in known.losses and not rule.fixed:
        weight = rule.ema ** max(1, known.ages[objective])
        loss = weight * known.losses[objective] + (1 - weight) * loss
    return replace(
        known, losses={**known.losses, objective: loss}, ages={**known.ages, objective: 0}
    )


def weighted_gaps(rule: Rule, known: Known) -> dict[Objective, float]:
    """Each loss above its optimum (never below 0), times the objective's weight."""
    weights: dict[Objective, float] = {"task": 1 - rule.share, "preference": rule.share}
    return {
        one: weights[one] * max(known.losses[one] - rule.optima[one], 0.0) for one in OBJECTIVES
    }


def chosen(rule: Rule, known: Known) -> Objective:
    """The objective with the larger weighted gap, the preferences where they are equal.

    An objective that was trained last is left only for a gap that is larger by the hysteresis.
    With a share of 0 or 1 there is nothing to choose.
    """
    if rule.share in {0, 1}:
        return "preference" if rule.share else "task"
    gaps = weighted_gaps(rule, known)
    ahead = gaps["preference"] - gaps["task"]
    if known.last == "preference":
        return "preference" if ahead >= -rule.hysteresis else "task"
    if known.last == "task":
        return "preference" if ahead >= rule.hysteresis else "task"
    return "preference" if ahead >= 0 else "task"


def trained(rule: Rule, known: Known, objective: Objective, loss: float) -> Known:
    """After a step on `objective` whose own loss was `loss`: every value is a step older."""
    known = known if rule.fixed else measured(rule, known, objective, loss)
    return replace(known, last=objective, ages={one: age + 1 for one, age in known.ages.items()})
