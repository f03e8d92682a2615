"""Groups: by how much at most, or at least, one group forgot more than the others.

Forgetting of a group is F_g = badness after - before over its items; biased forgetting is
BF(g) = F_g - F_rest. The `gap` rule bounds BF without assuming that group and rest are independent,
since groups may share scenarios. At level a, BF is shown to be under a gap when the betting bound
above F_g at a/2 lies below the gap plus the betting bound below F_rest at a/2; p is the smallest
such a. That is twice the largest, over all pairs of means that far apart, of the smaller of the two
tests' p values: as one falls and the other rises along these pairs, it is where they cross.
"""

import numpy as np

from holdfast.stats.betting import log_peak
from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import FloatArray, Side

GRID = 65  # pairs of means; the betting p is not quite monotone, so all are looked at first
REFINEMENTS = 3  # each looks closer at the pairs around the crossing


def gap_p(
    x_group: FloatArray | Ranges, x_rest: FloatArray | Ranges, gap: float, *, side: Side
) -> float:
    """The p of H0: F_g - F_rest >= gap (`pass`) or <= gap (`fail`); 1 without items on one side.

    x = (cluster mean of d + 1) / 2 in [0, 1], in the fixed order, for the group and all others.
    The result is rounded upwards, to the worse end of the last cell of the search. Where numbers
    are lost, it is an upper bound of the p over all of their values.
    """
    if side == "fail":  # F_g - F_rest above the gap is F_rest - F_g below minus the gap
        return gap_p(x_rest, x_group, -gap, side="pass")
    if not -2.0 <= gap <= 2.0:
        raise ValueError(f"gap is {gap!r}, expected a difference of changes in [-2, 2]")
    distance = gap / 2  # on the scale of x
    low, high = max(0.0, -distance), min(1.0, 1.0 - distance)
    log_p = 0.0
    for _ in range(REFINEMENTS):
        rest = np.linspace(low, high, GRID)
        group = np.clip(rest + distance, 0.0, 1.0)
        # A pair stands for all that are farther apart: the outermost p counts on either side.
        above = _running_max(-log_peak(x_group, group, side="pass")[::-1])[::-1]
        below = _running_max(-log_peak(x_rest, rest, side="fail"))
        ceiling = np.minimum(above[:-1], below[1:])
        cell = int(ceiling.argmax())
        log_p = float(ceiling[cell])
        low, high = float(rest[cell]), float(rest[cell + 1])
    return min(1.0, 2.0 * float(np.exp(log_p)))


def _running_max(values: FloatArray) -> FloatArray:
    result: FloatArray = np.maximum.accumulate(values)
    return result
