"""A rate against a cap when the judge errs: Rogan-Gladen, with both of its rates uncertain.

A judge that calls a share `sensitivity` of the bad answers bad and a share `specificity` of the
others not, sees a true rate r as q(r) = r sensitivity + (1 - r) (1 - specificity); solved for r
that is Rogan & Gladen's estimate (1978). Its two rates are known from counts only. So alpha is cut
in three, one part for each of the three unknowns, and the worst corner of the rates' bounds is
taken: "r >= cap" is refuted where the apparent rate is shown, at alpha / 3, to lie below the
smallest q(cap) in the box (Bonferroni; nothing is asked of the samples but independent answers).

Counts do not say which answers they call positive, and one judge serves probes for which a refusal
is good and others for which it is bad. So both readings are taken, and the less favourable counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from holdfast.stats.caps import rate_bounds
from holdfast.stats.sides import Side

Interval = tuple[float, float]
PARTS = 3  # the apparent rate, the sensitivity, the specificity
SMALLEST = 1e-12  # p values below are not told apart
HALVINGS = 40


@dataclass(frozen=True, slots=True)
class JudgeRates:
    """Measured [right, of] counts of a judge; `of` is at least 1."""

    sensitivity: tuple[int, int]
    specificity: tuple[int, int]

    @property
    def readings(self) -> tuple["JudgeRates", "JudgeRates"]:
        """With either kind of answer as the positive one."""
        return self, JudgeRates(self.specificity, self.sensitivity)


def rogan_gladen(apparent: float, sensitivity: float, specificity: float) -> float:
    """The true rate that would look like `apparent`, clipped to [0, 1].

    Raises ValueError where the judge does no better than chance, and its labels say nothing.
    """
    gain = sensitivity + specificity - 1
    if gain <= 0:
        raise ValueError(f"sensitivity {sensitivity} and specificity {specificity} add up to <= 1")
    return min(1.0, max(0.0, (apparent + specificity - 1) / gain))


def judged_p(
    apparent_p: Callable[[float], float], cap: float, rates: JudgeRates, *, side: Side
) -> float:
    """The p of H0: true rate >= cap (`pass`) or <= cap (`fail`): the smallest level that refutes.

    `apparent_p` is the p value of the same question about the rate that the judge sees.
    """
    return max(_level(apparent_p, cap, reading, side) for reading in rates.readings)


def judged_bounds(
    apparent: Callable[[float], Interval], rates: JudgeRates, alpha: float
) -> Interval:
    """The caps that neither `judged_p` refutes at alpha; `apparent` gives bounds at a level."""
    low, high = apparent(alpha / PARTS)
    ends = []
    for reading in rates.readings:
        (se_low, se_high), (sp_low, sp_high) = _box(reading, alpha)
        ends.append((_unseen(low, se_high, sp_low, 0.0), _unseen(high, se_low, sp_high, 1.0)))
    return min(end for end, _ in ends), max(end for _, end in ends)


def _level(
    apparent_p: Callable[[float], float], cap: float, rates: JudgeRates, side: Side
) -> float:
    """Halve the levels in logarithms: a larger one has a smaller box and asks for less."""
    low, high = float(np.log(SMALLEST)), 0.0
    if not _refuted(apparent_p, cap, rates, 1 - SMALLEST, side):
        return 1.0
    if _refuted(apparent_p, cap, rates, SMALLEST, side):
        return SMALLEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _refuted(apparent_p, cap, rates, float(np.exp(middle)), side):
            high = middle
        else:
            low = middle
    return float(np.exp(high))


def _refuted(
    apparent_p: Callable[[float], float], cap: float, rates: JudgeRates, alpha: float, side: Side
) -> bool:
    (se_low, se_high), (sp_low, sp_high) = _box(rates, alpha)
    sensitivity, specificity = (se_low, sp_high) if side == "pass" else (se_high, sp_low)
    if sensitivity + specificity <= 1:  # in this corner no apparent rate speaks against any cap
        return False
    apparent = cap * sensitivity + (1 - cap) * (1 - specificity)
    return apparent_p(apparent) <= alpha / PARTS


def _box(rates: JudgeRates, alpha: float) -> tuple[Interval, Interval]:
    return (
        rate_bounds(*rates.sensitivity, alpha / PARTS),
        rate_bounds(*rates.specificity, alpha / PARTS),
    )


def _unseen(apparent: float, sensitivity: float, specificity: float, unknown: float) -> float:
    """One end of the interval; the end of the scale where this corner says nothing."""
    if sensitivity + specificity <= 1:
        return unknown
    return rogan_gladen(apparent, sensitivity, specificity)
