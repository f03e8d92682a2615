"""The least capital that the bets of `betting` can come to where some of the numbers are lost.

Whatever the lost numbers were, the running mean and variance before each bet lie in intervals, so
the bet does: e / (v + e^2) falls with the variance v, and has one peak in the edge e, at sqrt(v).
Each factor 1 + bet (x - mean) is least at the lowest x, with the largest bet where that loses and
the smallest where it wins. Intervals only widen as more is lost, so the capital only falls.

A number without a place may be a number of its own, anywhere, or be averaged into another, which
moves that by half of its way at most. The bounds hold for every mixture of the two, as each is a
ratio of sums that is extreme where all the unplaced ones do the same.
"""

from dataclasses import dataclass

import numpy as np

from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import FloatArray

ROUNDING = 1e-9  # of log capital: more than the sums of any two orders of adding differ by


@dataclass(frozen=True, slots=True)
class _Moments:
    """Bounds of the running mean and variance before each number."""

    mean_low: FloatArray
    mean_high: FloatArray
    variance_low: FloatArray
    variance_high: FloatArray


def least_log_capital(
    low: FloatArray, high: FloatArray, mean: FloatArray, largest_bet: FloatArray, *, ranges: Ranges
) -> FloatArray:
    """A lower bound of log K_t after each number of each row, for bets on more than the mean.

    `low` and `high` have shape (rows, n), `mean` and `largest_bet` (means, 1), the result (rows,
    means, n). Of `ranges` only the unplaced numbers are read.
    """
    moments = _moments(low, high, ranges)
    smallest, largest = _bets(moments, mean, largest_bet)
    worst = low[:, None, :] - mean
    bet = np.where(worst >= 0.0, smallest, largest)
    path: FloatArray = np.cumsum(np.log1p(bet * worst), axis=-1) - ROUNDING
    if ranges.unplaced:
        highest = np.maximum.accumulate(largest, axis=-1)
        path -= ranges.unplaced * _charge(highest, mean, ranges.floor)
    return path


def _moments(low: FloatArray, high: FloatArray, ranges: Ranges) -> _Moments:
    mean_low, mean_high = _means(low, high, ranges)
    count = np.arange(1, low.shape[-1] + 1)
    with_unplaced = count + ranges.unplaced
    # x - running = (x - mean before) count / (count + 1), in which x stands but once
    near = np.maximum(np.maximum(low - mean_high, mean_low - high), 0.0) * count / (count + 1)
    far = np.maximum(high - mean_low, mean_high - low) * with_unplaced / (with_unplaced + 1)
    spread_low, spread_high = _sums_before(near**2), _sums_before(far**2)
    largest_near = np.maximum.accumulate(_before(near**2), axis=-1)
    largest_far = np.maximum.accumulate(np.maximum(mean_high, 1.0 - mean_low), axis=-1) ** 2
    without_moved = np.maximum(spread_low - ranges.unplaced * largest_near, 0.0)
    return _Moments(
        mean_low,
        mean_high,
        np.minimum((0.25 + spread_low) / with_unplaced, (0.25 + without_moved) / count),
        (0.25 + spread_high + ranges.unplaced * largest_far) / count,
    )


def _means(low: FloatArray, high: FloatArray, ranges: Ranges) -> tuple[FloatArray, FloatArray]:
    """Bounds of the running mean: the unplaced averaged into other numbers, or on their own."""
    count, unplaced = np.arange(1, low.shape[-1] + 1), ranges.unplaced
    low_sum, high_sum = 0.5 + _sums_before(low), 0.5 + _sums_before(high)
    low_inside = (low_sum - unplaced * (1.0 - ranges.floor) / 2) / count
    high_inside = (high_sum + unplaced * ranges.ceiling / 2) / count
    low_alone = (low_sum + unplaced * ranges.floor) / (count + unplaced)
    high_alone = (high_sum + unplaced * ranges.ceiling) / (count + unplaced)
    mean_low = np.clip(np.minimum(low_inside, low_alone), 0.0, 1.0)
    return mean_low, np.clip(np.maximum(high_inside, high_alone), 0.0, 1.0)


def _bets(
    moments: _Moments, mean: FloatArray, largest_bet: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The smallest and the largest bet that the moments allow."""
    edge_low, edge_high = (m[:, None, :] - mean for m in (moments.mean_low, moments.mean_high))
    v_low, v_high = (v[:, None, :] for v in (moments.variance_low, moments.variance_high))
    smallest = np.minimum(_kelly(edge_low, v_high), _kelly(edge_high, v_high))
    largest = _kelly(np.clip(np.sqrt(v_low), edge_low, edge_high), v_low)
    return np.clip(smallest, 0.0, largest_bet), np.clip(largest, 0.0, largest_bet)


def _kelly(edge: FloatArray, variance: FloatArray) -> FloatArray:
    bet: FloatArray = edge / (variance + edge**2)
    return bet


def _charge(bet: FloatArray, mean: FloatArray, floor: float) -> FloatArray:
    """The most that one unplaced number takes from log K: on its own, or out of one that won."""
    alone = -np.log1p(bet * (floor - mean))
    inside = np.log1p(bet * (1.0 - mean)) - np.log1p(bet * ((1.0 + floor) / 2 - mean))
    charge: FloatArray = np.maximum(np.maximum(alone, inside), 0.0)
    return charge


def _sums_before(x: FloatArray) -> FloatArray:
    """Of each row, the sum of what stands before each number."""
    return _before(np.cumsum(x, axis=-1))


def _before(x: FloatArray) -> FloatArray:
    return np.concatenate([np.zeros((len(x), 1)), x[:, :-1]], axis=-1)
