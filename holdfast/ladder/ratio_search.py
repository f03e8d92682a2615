"""Picks the next ratios of a heterogeneous average to put to the gate: a compass search.

The training child finds ratios by a proxy, in seconds (simplex_search.py and gradient_search.py in
training/merging); what they are worth only the gate can say, at a minute or more a try. So it is
asked where the proxy ended, and then one step to each side of the best so far. A step moves weight
from one group of blocks to another, which leaves the mean as it is; where no side is better, the
step is halved, once. Pure, so a ladder that is killed goes on where it was.
"""

from collections.abc import Iterator, Mapping
from math import inf
from statistics import fmean

from holdfast.repairs.simplex import ENOUGH, project

Ratios = tuple[float, ...]

STEPS = (0.2, 0.1)


def next_ratios(tried: Mapping[Ratios, float]) -> Ratios | None:
    """The nearest untried ratios to the best of `tried`, each with its doubt: the less, the better.

    None where all sides of the best were tried, and where nothing is known to be near.
    """
    best = min(tried, key=lambda ratios: tried[ratios], default=None)
    if best is None or tried[best] == inf:
        return None
    sides = (side for step in STEPS for side in around(best, step))
    return next((side for side in sides if not any(same(side, other) for other in tried)), None)


def around(ratios: Ratios, step: float) -> Iterator[Ratios]:
    """The ratios with the same mean that give one group more of the candidate and another less."""
    places = range(len(ratios))
    for more in places:
        for less in places:
            if more != less:
                moved = list(ratios)
                moved[more] += step
                moved[less] -= step
                yield project(moved, fmean(ratios))


def same(ratios: Ratios, other: Ratios) -> bool:
    """Whether two averages are one model, as far as anybody can measure."""
    if len(ratios) != len(other):
        return False
    return max(abs(first - second) for first, second in zip(ratios, other, strict=True)) < ENOUGH
