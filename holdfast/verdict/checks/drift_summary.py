"""What drift.kl's measures come to: one mean and one sentence. A warning, never an outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from holdfast.evidence.trial import Measure
from holdfast.probes.drift import FIRST_TOKENS, LAYERS, WHOLE_ANSWER
from holdfast.stats.bootstrap import mean_interval


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """Nats a token over `answers` answers, and everything else in words."""

    mean: float
    answers: int
    sentence: str


def summarise(measures: Sequence[Measure], cap: float | None) -> DriftSummary | None:
    """None where no answer was measured."""
    whole, first, layers = (
        [one for one in measures if one.unit == unit]
        for unit in (WHOLE_ANSWER, FIRST_TOKENS, LAYERS)
    )
    if not whole:
        return None
    values, weights = np.array([(one.value, one.weight) for one in whole]).T
    low, high = mean_interval(values, weights)
    mean = _mean(whole)
    beside = "" if cap is None else f", {'above' if mean > cap else 'below'} {cap:g}"
    early = f", {_mean(first):.3f} over the first tokens" if first else ""
    moved = max(layers, key=lambda one: one.value, default=None)
    most = "" if moved is None else f"; most moved: {moved.item} by {moved.value:.2g}"
    return DriftSummary(
        mean,
        len(whole),
        f"KL {mean:.3f} nats a token (95 % bootstrap {low:.3f} to {high:.3f}){beside}{early}"
        f"{most}; an early warning, which never passes",
    )


def _mean(measures: Sequence[Measure]) -> float:
    return fsum(one.value for one in measures) / fsum(one.weight for one in measures)
