"""Numbers in [0, 1] of which some are lost: known only to lie in a range, or not even by place.

A test of such numbers has to hold whatever they were, so its p is the largest that any of their
values would give. That is no matter of their worst value alone where what comes later depends on
them. So the lost ones take their values in turn, the first of them by all of them or by narrow
cells, and what is too much to go through stays a whole range.
"""

from dataclasses import dataclass

import numpy as np

from holdfast.stats.sides import FloatArray, IntArray

BOXES = 64  # combinations of values that are gone through
CELL = 0.125  # the grid on which a range of any value is cut


@dataclass(frozen=True, slots=True)
class Ranges:
    """Numbers in a fixed order, each between `low` and `high`; these are equal unless it is lost.

    With `steps` at least 1, the number is one of the steps + 1 evenly spaced values from low to
    high, with 0 it may be any between. Nobody knows the place of the `unplaced` further ones, each
    between `floor` and `ceiling`: every one stands alone anywhere among the numbers, or is to be
    averaged into one of them, which is itself the mean of one or more.
    """

    low: FloatArray
    high: FloatArray
    steps: IntArray
    unplaced: int = 0
    floor: float = 0.0
    ceiling: float = 1.0

    @property
    def certain(self) -> bool:
        """Whether nothing is lost."""
        return self.unplaced == 0 and np.array_equal(self.low, self.high)

    @property
    def mirrored(self) -> "Ranges":
        """The ranges of 1 - x."""
        ends = 1.0 - self.high, 1.0 - self.low
        return Ranges(*ends, self.steps, self.unplaced, 1.0 - self.ceiling, 1.0 - self.floor)


def boxes(ranges: Ranges) -> tuple[FloatArray, FloatArray]:
    """Rows of lower and of upper ends which together hold every value of the placed numbers.

    Where less is lost the boxes lie inside of those where more is, so a bound over all of them only
    grows with what is lost: a number is cut at the same places whatever else is lost, and the first
    that would make too many boxes ends the cutting.
    """
    low, high = ranges.low[None, :], ranges.high[None, :]
    for at in np.flatnonzero(ranges.low < ranges.high):
        starts, ends = _pieces(ranges.low[at], ranges.high[at], int(ranges.steps[at]))
        rows, pieces = len(low), len(starts)
        if rows * pieces > BOXES:
            break
        low, high = np.repeat(low, pieces, axis=0), np.repeat(high, pieces, axis=0)
        low[:, at], high[:, at] = np.tile(starts, rows), np.tile(ends, rows)
    return low, high


def _pieces(low: float, high: float, steps: int) -> tuple[FloatArray, FloatArray]:
    """Single values, or the cells of the grid inside of the range."""
    if steps:
        values = np.linspace(low, high, steps + 1)
        return values, values
    grid = np.arange(0.0, 1.0, CELL)
    edges = np.array([low, *grid[(grid > low) & (grid < high)], high])
    return edges[:-1], edges[1:]
