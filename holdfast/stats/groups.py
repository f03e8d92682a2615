"""Groups: who forgot more than the others, and by how much at least or at most.

Forgetting of a group is F_g = badness after - before over its items; biased forgetting is
BF(g) = F_g - F_rest. The `gap` rule bounds BF without assuming that group and rest are independent,
since groups may share scenarios: both means get a betting bound at alpha/2 (a union bound).
"""

import numpy as np

from holdfast.stats.betting import betting_p
from holdfast.stats.sides import FloatArray, Side

STEPS = 40  # halvings; the crossing is then known to 1e-12


def gap_p(x_group: FloatArray, x_rest: FloatArray, gap: float, *, side: Side) -> float:
    """The p of H0: F_g - F_rest >= gap (`pass`) or <= gap (`fail`).

    x = (cluster mean of d + 1) / 2, in the fixed order, for the group and for all others.
    """
    if side == "fail":  # F_g - F_rest above the gap is F_rest - F_g below minus the gap
        return gap_p(x_rest, x_group, -gap, side="pass")
    if not -2.0 <= gap <= 2.0:
        raise ValueError(f"gap is {gap!r}, expected a difference of changes in [-2, 2]")
    apart = gap / 2
    low, high = max(0.0, -apart), min(1.0, 1.0 - apart)
    for _ in range(STEPS):
        rest = (low + high) / 2
        if betting_p(x_group, _unit(rest + apart), side="pass") > betting_p(
            x_rest, rest, side="fail"
        ):
            low = rest
        else:
            high = rest
    return min(1.0, 2 * max(betting_p(x_group, _unit(low + apart), side="pass"), 0.0))


def _unit(mean: float) -> float:
    return float(np.clip(mean, 0.0, 1.0))
