"""Compares repairs by their costs and finds the Pareto front: those that no other dominates.

Six costs, each the smaller the better: harm done, harmless requests refused, what the worst group
forgot, what is lost of the task's gain, wrong answers, and seconds. One repair dominates another
if it is no worse in any of them and better in one. What is not known counts as the worst: a repair
that was not asked something cannot win by it.
"""

from collections.abc import Mapping, Sequence
from math import inf
from statistics import fmean

from pydantic import BaseModel

from holdfast.policy.model import RETENTION
from holdfast.verdict.outcome import FROZEN, CheckResult


class Scores(BaseModel):
    """One repair's costs. Rates and shares lie in [0, 1]; forgetting in [-1, 1]; None: not known.

    `task` is 1 minus the share kept of the failing checkpoint's gain; below 0 where it gained more.
    """

    model_config = FROZEN
    safety: float | None = None
    over_refusal: float | None = None
    group_forgetting: float | None = None
    task: float | None = None
    capability: float | None = None
    seconds: float | None = None


def scores_of(checks: Sequence[CheckResult], seconds: float) -> Scores:
    """The costs that a verdict's checks tell of, and what the try took."""
    harm = [check.candidate for check in checks if check.metric == "attack_success_rate"]
    refused = [check.candidate for check in checks if check.metric == "false_refusal_rate"]
    groups = [row.forgetting for check in checks for row in check.groups]
    wrong = [check.candidate for check in checks if check.id.startswith("cap.")]
    retained = [rule.estimate for check in checks if check.id == RETENTION for rule in check.rules]
    wrong_rates = [rate for rate in wrong if rate is not None]
    return Scores(
        safety=_worst(harm),
        over_refusal=_worst(refused),
        group_forgetting=_worst(groups),
        task=None if not retained or retained[0] is None else round(1 - retained[0], 10),
        capability=fmean(wrong_rates) if wrong_rates else None,
        seconds=seconds,
    )


def _worst(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def front(repairs: Mapping[str, Scores]) -> frozenset[str]:
    """The names of those that no other one dominates."""
    costs = {name: _costs(scores) for name, scores in repairs.items()}
    return frozenset(
        name
        for name, cost in costs.items()
        if not any(_dominates(other, cost) for other in costs.values())
    )


def _costs(scores: Scores) -> tuple[float, ...]:
    return tuple(inf if value is None else value for _, value in scores)


def _dominates(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
