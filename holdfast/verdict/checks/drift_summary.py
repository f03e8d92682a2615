"""Sums up drift.kl's measures: one mean and one sentence. A warning, never an outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from holdfast.evidence.trial import Measure
from holdfast.probes.drift import ALL_TOKENS, FIRST_TOKENS, LAYERS
from holdfast.stats.bootstrap import mean_interval


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """Nats a token over `answers` answers, and everything else in words."""

    mean: float
    answers: int
    sentence: str


def summarise(measures: Sequence[Measure], cap: float | None) -> DriftSummary | None:
    """The mean drift over all answers, with its sentence; None where no answer was measured."""
    answers, first_tokens, layers = (
        [measure for measure in measures if measure.unit == unit]
        for unit in (ALL_TOKENS, FIRST_TOKENS, LAYERS)
    )
    if not answers:
        return None
    values, weights = np.array([(measure.value, measure.weight) for measure in answers]).T
    low, high = mean_interval(values, weights)
    mean = _mean(answers)
    cap_words = "" if cap is None else f", {'above' if mean > cap else 'below'} {cap:g}"
    early = f", {_mean(first_tokens):.3f} over the first tokens" if first_tokens else ""
    layer = max(layers, key=lambda measure: measure.value, default=None)
    layer_words = "" if layer is None else f"; most moved: {layer.item} by {layer.value:.2g}"
    return DriftSummary(
        mean,
        len(answers),
        f"KL {mean:.3f} nats a token (95 % bootstrap {low:.3f} to {high:.3f}){cap_words}{early}"
        f"{layer_words}; an early warning, which never passes",
    )


def _mean(measures: Sequence[Measure]) -> float:
    return fsum(measure.value for measure in measures) / fsum(
        measure.weight for measure in measures
    )
