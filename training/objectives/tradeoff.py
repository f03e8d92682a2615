"""How good a compromise between two objectives is: gaps, ideal distance, hypervolume.

f* is the least loss that either objective reaches alone. Task loss is in nats a token, preference
loss in nats a pair, so the raw distance is mostly the preferences'; the normalised one counts each
gap in units of the gap that the run began with.
"""

from collections.abc import Sequence
from math import hypot

from holdfast.errors import TrainingFailed

Point = tuple[float, float]  # (task loss, preference loss)


def optimality_gaps(losses: Point, optima: Point) -> Point:
    """By how much each loss is above its own optimum; negative where it got below it."""
    return losses[0] - optima[0], losses[1] - optima[1]


def ideal_distance(losses: Point, optima: Point) -> float:
    """Distance from the point at which both objectives are at their optimum."""
    return hypot(*optimality_gaps(losses, optima))


def normalised_distance(losses: Point, optima: Point, initial: Point) -> float:
    """The same with each gap divided by the gap at the start: 1 on an axis is no progress.

    Raises TrainingFailed where the start is no worse than the optimum on some axis.
    """
    begins = optimality_gaps(initial, optima)
    if min(begins) <= 0:
        raise TrainingFailed(
            f"the start has losses {initial}, no worse than the optima {optima}, so there is no "
            "distance to count in; train the single objectives for longer"
        )
    gaps = optimality_gaps(losses, optima)
    return hypot(gaps[0] / begins[0], gaps[1] / begins[1])


def hypervolume(front: Sequence[Point], reference: Point) -> float:
    """The area between the points of `front` and `reference`, lower losses being better.

    Points that are worse than the reference on an axis add nothing.
    """
    inside = sorted(point for point in front if point[0] < reference[0] and point[1] < reference[1])
    area, ceiling = 0.0, reference[1]
    for task, preference in inside:
        if preference < ceiling:
            area += (reference[0] - task) * (ceiling - preference)
            ceiling = preference
    return area
