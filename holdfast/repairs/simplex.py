"""Ratios of layer groups whose mean is fixed: how far each third of a model moves back.

HMA (https://arxiv.org/abs/2309.06256) gives every group of blocks its own weight of the candidate,
under one constraint: their mean is the weight that a plain average would give to all of them. The
paper's formula for that misses a factor K and may leave [0, 1]; here the factor is in, and what
leaves [0, 1] is brought back with the mean intact. Pure functions: the training child searches on
this set, and so may whoever has the gate's own metric.
"""

from collections.abc import Sequence

ENOUGH = 0.01  # ratios that differ by less are one model
BISECTIONS = 80  # halves an interval of at most 4 to below a double's resolution
DIGITS = 12  # of a ratio: what is left of a group that gets nothing is 0, and not 6e-17


def project(values: Sequence[float], mean: float) -> tuple[float, ...]:
    """The nearest point (Euclidean) with this mean and every entry in [0, 1].

    Water-filling: one level is added to all and the result clipped, min(1, max(0, v + level)),
    which grows with the level. Raises ValueError for a mean outside [0, 1].
    """
    if not 0 <= mean <= 1:
        raise ValueError(f"a mean of {mean:g} has no ratios in [0, 1]")
    low, high = -max(values), 1 - min(values)
    for _ in range(BISECTIONS):
        level = (low + high) / 2
        if sum(_clip(values, level)) < mean * len(values):
            low = level
        else:
            high = level
    return tuple(round(ratio, DIGITS) for ratio in _clip(values, (low + high) / 2))


def _clip(values: Sequence[float], level: float) -> list[float]:
    return [min(1.0, max(0.0, value + level)) for value in values]
