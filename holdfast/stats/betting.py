"""Betting test for the mean of numbers in [0, 1] (Waudby-Smith & Ramdas 2024, section 4).

A gambler who starts with 1 bets on each number in turn at odds that are fair, or worse, under the
null hypothesis. Capital K_t = prod (1 + bet_s (x_s - mean)) then reaches 1/alpha at any time with
probability at most alpha, so 1 / max K_t is a p value, at every sample size and at every stopping
time. It needs only that each x, given those before it, has the mean in question or one on the
null's side of it; no two x need the same distribution.

The bets are approximate Kelly: (m - mean) / (v + (m - mean)^2) from the running mean m and variance
v of the numbers before, with one imagined number at 1/2, cut to half of what could ruin. The order
of x is therefore part of the evidence and must be fixed by the caller before anything is seen.

Since later bets follow earlier numbers, p does not always grow with a number: a bad one early can
lower the bets on bad ones later. So where numbers are lost (`Ranges`), p is an upper bound of the p
over all of their values, and not the p of their worst ones: nothing can be lost into a smaller p.
"""

from typing import Literal

import numpy as np

from holdfast.stats.lost_bets import least_log_capital
from holdfast.stats.ranges import Ranges, boxes
from holdfast.stats.sides import FloatArray, IntArray, Side

TRUNCATION = 0.5  # share of the bet that could lose everything; the authors' choice
GRID = 257  # means at which a bound is looked for before it is refined
REFINEMENTS = 3  # each divides the width of the grid's cell by GRID - 1
CHUNK = 1_000_000  # numbers held at once while many means are tried


def betting_p(x: FloatArray | Ranges, mean: float, *, side: Side) -> float:
    """The p of H0: E[x] >= mean (`pass`) or H0: E[x] <= mean (`fail`), for x in [0, 1] in order.

    Where numbers are lost, an upper bound of the p over all of their values. No numbers give 1.
    Raises ValueError where x or the mean leaves [0, 1].
    """
    _check(x, mean)
    return float(np.exp(-log_peak(x, np.array([mean]), side=side)[0]))


def betting_bound(
    x: FloatArray | Ranges, alpha: float, *, side: Literal["upper", "lower"]
) -> float:
    """One-sided bound on E[x] at level 1 - alpha: the outermost mean that the test leaves standing.

    `upper` inverts the pass test, `lower` the fail test. The outermost mean is looked for on a grid
    and then refined to 1e-7, outwards; without numbers the bound is 1 or 0.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}, expected a number in (0, 1)")
    if side == "lower":
        return 1.0 - betting_bound(_mirrored(x), alpha, side="upper")
    _check(x, 1.0)
    low, high = 0.0, 1.0
    for _ in range(REFINEMENTS):
        means = np.linspace(low, high, GRID)
        standing = _standing(x, means, alpha)
        if standing.size == 0:  # not even low stands: the bound is low, taken from the step before
            return high
        if standing[-1] == GRID - 1:
            return high
        low, high = float(means[standing[-1]]), float(means[standing[-1] + 1])
    return high


def _standing(x: FloatArray | Ranges, means: FloatArray, alpha: float) -> IntArray:
    """The places of the means that the pass test does not refute.

    Of lost numbers all boxes are gone through only where the worst values do not leave a mean
    standing and one box around everything does.
    """
    enough = -np.log(alpha)
    if not isinstance(x, Ranges) or x.certain:
        return np.flatnonzero(log_peak(x, means, side="pass") < enough)
    standing = log_peak(x.high, means, side="pass") < enough
    around = _least(x, means, side="pass", cut=False) < enough
    unclear = np.flatnonzero(around & ~standing)
    standing[unclear] = log_peak(x, means[unclear], side="pass") < enough
    return np.flatnonzero(standing)


def log_peak(x: FloatArray | Ranges, means: FloatArray, *, side: Side) -> FloatArray:
    """Log max_t K_t against each mean: at least 0, since nobody has to bet.

    Where numbers are lost, a lower bound of it over all of their values.
    """
    if isinstance(x, Ranges):
        return log_peak(x.low, means, side=side) if x.certain else _least(x, means, side=side)
    if x.size == 0:
        return np.zeros(means.shape)
    rows = max(1, CHUNK // x.size)
    peaks = [
        log_capital(x, means[i : i + rows, None], side=side).max(axis=-1)
        for i in range(0, means.size, rows)
    ]
    highest: FloatArray = np.maximum(np.concatenate(peaks), 0.0)
    return highest


def _least(x: Ranges, means: FloatArray, *, side: Side, cut: bool = True) -> FloatArray:
    """The smallest of the peaks over the boxes, or the one box, that hold every value."""
    if side == "pass":
        return _least(x.mirrored, 1.0 - means, side="fail", cut=cut)
    low, high = boxes(x) if cut else (x.low[None, :], x.high[None, :])
    if low.size == 0 or means.size == 0:
        return np.zeros(means.shape)
    every_value = x.unplaced == 0 and np.array_equal(low, high)

    def paths(mean: FloatArray) -> FloatArray:
        if every_value:
            return log_capital(low[:, None, :], mean, side="fail")
        return least_log_capital(low, high, mean, _largest_bet(mean), ranges=x)

    rows = max(1, CHUNK // low.size)
    peaks = [
        paths(means[i : i + rows, None]).max(axis=-1).min(axis=0)
        for i in range(0, means.size, rows)
    ]
    lowest: FloatArray = np.maximum(np.concatenate(peaks), 0.0)
    return lowest


def log_capital(x: FloatArray, mean: FloatArray | float, *, side: Side) -> FloatArray:
    """Log K_t after each number along the last axis; `mean` broadcasts against x."""
    if side == "pass":  # E[x] below the mean is E[1 - x] above 1 - mean
        return log_capital(1.0 - x, 1.0 - mean, side="fail")
    count = np.arange(1, x.shape[-1] + 1)
    running = (0.5 + np.cumsum(x, axis=-1)) / (count + 1)
    variance = (0.25 + np.cumsum((x - running) ** 2, axis=-1)) / (count + 1)
    edge = _before(running, 0.5) - mean
    bet = np.clip(edge / (_before(variance, 0.25) + edge**2), 0.0, _largest_bet(mean))
    path: FloatArray = np.cumsum(np.log1p(bet * (x - mean)), axis=-1)
    return path


def _largest_bet(mean: FloatArray | float) -> FloatArray:
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(TRUNCATION / np.asarray(mean))


def _mirrored(x: FloatArray | Ranges) -> FloatArray | Ranges:
    return x.mirrored if isinstance(x, Ranges) else 1.0 - x


def _before(series: FloatArray, start: float) -> FloatArray:
    """The series one step late, so that no bet knows the number it is placed on."""
    first = np.full((*series.shape[:-1], 1), start)
    return np.concatenate([first, series[..., :-1]], axis=-1)


def _check(x: FloatArray | Ranges, mean: float) -> None:
    for ends in (x.low, x.high) if isinstance(x, Ranges) else (x,):
        if ends.ndim != 1 or not np.all((ends >= 0.0) & (ends <= 1.0)):
            raise ValueError(
                "expected one row of numbers in [0, 1] (a NaN is unscored, not a number)"
            )
    if not 0.0 <= mean <= 1.0:
        raise ValueError(f"mean is {mean!r}, expected a number in [0, 1]")
