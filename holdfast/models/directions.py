"""A direction between two sets of activations: where it points, and how well it tells them apart.

The difference of the two means, layer by layer, as refusal directions are found (arXiv 2406.11717,
2509.06795). The layer is the one whose direction tells the sets apart best, by the compliance-aware
score of arXiv 2606.00160: of the variance along the direction, every coordinate scaled to unit
variance first, the share that lies between the sets. In the layers before it is not made yet, and
in those behind it is mixed with which words come next.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Direction:
    """A unit vector [width] in the output of block `layer`, counted from 0.

    `separation` in [0, 1] is how well it tells the two sets apart; `gap`, above 0, how far apart
    their means are along it, and `origin` where the second one's lies.
    """

    layer: int
    vector: Array
    separation: float
    gap: float
    origin: float

    def along(self, activations: Array) -> Array:
        """How far activations [..., width] of that layer lie along it.

        0 is where the second set's mean lies, 1 where the first's does.
        """
        projected: Array = (activations @ self.vector - self.origin) / self.gap
        return projected


def direction_between(toward: Array, away: Array) -> Direction | None:
    """The direction from the mean of `away` [M, layers, width] to that of `toward` [N, ...].

    None where the two do not differ in any layer, or where a number is not finite.
    """
    found = [_in_layer(at, toward[:, at], away[:, at]) for at in range(toward.shape[1])]
    directions = [direction for direction in found if direction is not None]
    return max(directions, key=lambda direction: direction.separation, default=None)


def _in_layer(layer: int, toward: Array, away: Array) -> Direction | None:
    difference = toward.mean(0) - away.mean(0)
    gap = float(np.linalg.norm(difference))
    if not (np.isfinite(gap) and gap > 0):
        return None
    vector = difference / gap
    separation = _separation(toward, away, vector)
    return Direction(layer, vector, separation, gap, float(away.mean(0) @ vector))


def _separation(toward: Array, away: Array, vector: Array) -> float:
    """Share of the variance along the vector, in coordinates of unit variance, between the sets."""
    every = np.concatenate([toward, away])
    spread = every.std(0)
    scaled = np.divide(every - every.mean(0), spread, out=np.zeros_like(every), where=spread > 0)
    projected = scaled @ vector
    first, second = projected[: len(toward)], projected[len(toward) :]
    between = len(first) * first.mean() ** 2 + len(second) * second.mean() ** 2
    total = float((projected**2).sum())
    return float(between / total) if total else 0.0
