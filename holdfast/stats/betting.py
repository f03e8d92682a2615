"""Betting test for the mean of numbers in [0, 1] (Waudby-Smith & Ramdas 2024, section 4).

A gambler who starts with 1 bets on each number in turn at odds that are fair, or worse, under the
null hypothesis. Capital K_t = prod (1 + bet_s (x_s - mean)) then reaches 1/alpha at any time with
probability at most alpha, so 1 / max K_t is a p value, at every sample size and at every stopping
time. It needs only that each x, given those before it, has the mean in question or one on the
null's side of it; no two x need the same distribution.

The bets are approximate Kelly: (m - mean) / (v + (m - mean)^2) from the running mean m and variance
v of the numbers before, with one imagined number at 1/2, cut to half of what could ruin. The order
of x is therefore part of the evidence and must be fixed by the caller before anything is seen.
"""

from typing import Literal

import numpy as np

from holdfast.stats.sides import FloatArray, Side

TRUNCATION = 0.5  # share of the bet that could lose everything; the authors' choice
GRID = 257  # means at which a bound is looked for before it is refined
REFINEMENTS = 3  # each divides the width of the grid's cell by GRID - 1
CHUNK = 1_000_000  # numbers held at once while many means are tried


def betting_p(x: FloatArray, mean: float, *, side: Side) -> float:
    """The p of H0: E[x] >= mean (`pass`) or H0: E[x] <= mean (`fail`), for x in [0, 1] in order.

    No numbers give 1. Raises ValueError where x or the mean leaves [0, 1].
    """
    _check(x, mean)
    return float(np.exp(-log_peak(x, np.array([mean]), side=side)[0]))


def betting_bound(x: FloatArray, alpha: float, *, side: Literal["upper", "lower"]) -> float:
    """One-sided bound on E[x] at level 1 - alpha: the outermost mean that the test leaves standing.

    `upper` inverts the pass test, `lower` the fail test. The outermost mean is looked for on a grid
    and then refined to 1e-7, outwards; without numbers the bound is 1 or 0.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}, expected a number in (0, 1)")
    if side == "lower":
        return 1.0 - betting_bound(1.0 - x, alpha, side="upper")
    _check(x, 1.0)
    low, high = 0.0, 1.0
    for _ in range(REFINEMENTS):
        means = np.linspace(low, high, GRID)
        standing = np.flatnonzero(log_peak(x, means, side="pass") < -np.log(alpha))
        if standing.size == 0:  # not even low stands: the bound is low, taken from the step before
            return high
        if standing[-1] == GRID - 1:
            return high
        low, high = float(means[standing[-1]]), float(means[standing[-1] + 1])
    return high


def log_peak(x: FloatArray, means: FloatArray, *, side: Side) -> FloatArray:
    """Log max_t K_t against each mean: at least 0, since nobody has to bet."""
    if x.size == 0:
        return np.zeros(means.shape)
    rows = max(1, CHUNK // x.size)
    peaks = [
        log_capital(x, means[i : i + rows, None], side=side).max(axis=-1)
        for i in range(0, means.size, rows)
    ]
    highest: FloatArray = np.maximum(np.concatenate(peaks), 0.0)
    return highest


def log_capital(x: FloatArray, mean: FloatArray | float, *, side: Side) -> FloatArray:
    """Log K_t after each number along the last axis; `mean` broadcasts against x."""
    if side == "pass":  # E[x] below the mean is E[1 - x] above 1 - mean
        return log_capital(1.0 - x, 1.0 - mean, side="fail")
    count = np.arange(1, x.shape[-1] + 1)
    running = (0.5 + np.cumsum(x, axis=-1)) / (count + 1)
    variance = (0.25 + np.cumsum((x - running) ** 2, axis=-1)) / (count + 1)
    edge = _before(running, 0.5) - mean
    with np.errstate(divide="ignore"):
        largest_bet = TRUNCATION / np.asarray(mean)
    bet = np.clip(edge / (_before(variance, 0.25) + edge**2), 0.0, largest_bet)
    path: FloatArray = np.cumsum(np.log1p(bet * (x - mean)), axis=-1)
    return path


def _before(series: FloatArray, start: float) -> FloatArray:
    """The series one step late, so that no bet knows the number it is placed on."""
    first = np.full((*series.shape[:-1], 1), start)
    return np.concatenate([first, series[..., :-1]], axis=-1)


def _check(x: FloatArray, mean: float) -> None:
    if x.ndim != 1 or not np.all((x >= 0.0) & (x <= 1.0)):
        raise ValueError("expected one row of numbers in [0, 1] (a NaN is unscored, not a number)")
    if not 0.0 <= mean <= 1.0:
        raise ValueError(f"mean is {mean!r}, expected a number in [0, 1]")
