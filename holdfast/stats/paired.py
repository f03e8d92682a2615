"""Exact unconditional test of a paired difference of two rates, ordered by Tango's score statistic.

Of n pairs, `worse` went ok -> bad and `better` went bad -> ok; the change is E[d] = p12 - p21. At a
margin the change is fixed, but the share of flips psi = p12 + p21 is not: it is a nuisance, and p
is the largest probability, over all psi, of a table at least as extreme (Hsueh, Liu & Chen 2001).
Tango's own asymptotic p is used for its order only; where flips are few it is too small.

The maximum is searched by branch and bound, not read off a grid: an interval of psi is halved until
it provably holds nothing above the best value found by more than SLACK of it and FLOOR, and these
are then added. So p is never below the true maximum, and above it by no more than that.
"""

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

from holdfast.stats.sides import FloatArray, IntArray, Side

SLACK = 1e-3  # relative; a true 0.05 may read 0.05005, never 0.04999
FLOOR = 1e-6  # absolute; also covers the rounding of the sums
TIE = 1e-9  # statistics closer than this are one rank, so rounding cannot order equal tables


Counts = IntArray | FloatArray


def tango_z(worse: int, better: int, n: int, margin: float) -> float:
    """Tango's score statistic for H0: E[d] = margin; negative where fewer got worse than that."""
    _check(worse, better, n, margin)
    return float(_score(np.array(worse), np.array(better), n, margin))


@lru_cache(maxsize=65536)
def exact_p(worse: int, better: int, n: int, margin: float, *, side: Side) -> float:
    """The exact p of H0: E[d] >= margin (`pass`) or H0: E[d] <= margin (`fail`).

    No pairs at all give 1. Raises ValueError where the counts or the margin are impossible.
    """
    _check(worse, better, n, margin)
    if side == "fail":  # d > margin is -d < -margin: the same test with the roles exchanged
        return exact_p(better, worse, n, -margin, side="pass")
    if n == 0:
        return 1.0
    return largest_probability(
        tables_up_to(tango_z(worse, better, n, margin), n, margin), n, margin
    )


def refuted(worse: int, better: int, n: int, margin: float, *, alpha: float, side: Side) -> bool:
    """Whether `exact_p` is at most alpha, without working out by how much."""
    _check(worse, better, n, margin)
    if side == "fail":
        return refuted(better, worse, n, -margin, alpha=alpha, side="pass")
    if n == 0:
        return False
    tables = tables_up_to(tango_z(worse, better, n, margin), n, margin)
    return largest_probability(tables, n, margin, against=alpha) <= alpha


def _check(worse: int, better: int, n: int, margin: float) -> None:
    if min(worse, better) < 0 or worse + better > n:
        raise ValueError(f"{worse} worse and {better} better of {n} pairs is no table of pairs")
    if not -1.0 <= margin <= 1.0:
        raise ValueError(f"margin is {margin!r}, expected a difference of rates in [-1, 1]")


def _score(worse: Counts, better: Counts, n: int, margin: float) -> FloatArray:
    """Tango's Z for arrays of tables; q is p21 as estimated under E[d] = margin."""
    if margin < 0:
        return -_score(better, worse, n, -margin)
    half = (2 * n - worse + better) * margin - worse - better
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(half**2 + 8 * n * better * margin * (1 - margin))
        q = np.where(
            half > 0,  # of two equal forms, the one that does not cancel
            2 * better * margin * (1 - margin) / (half + root),
            (root - half) / (4 * n),
        )
        z = (worse - better - n * margin) / np.sqrt(n * (2 * q + margin * (1 - margin)))
    return np.where(np.isnan(z), 0.0, z)  # 0/0: exactly what the margin says, without any spread


def tables_up_to(z: float, n: int, margin: float) -> IntArray:
    """For 0..n flips, the most worse ones with a statistic of at most z; -1 where even none is.

    Closed under one worse flip less and one better flip more, which the bound above rests on.
    """
    flips = np.arange(n + 1)
    low, high = np.full(n + 1, -1), flips.copy()
    while (low < high).any():  # the statistic rises with the number of worse among the flips
        middle = (low + high + 1) // 2
        is_within = _score(middle, flips - middle, n, margin) <= z + TIE
        low, high = np.where(is_within, middle, low), np.where(is_within, high, middle - 1)
    max_worse: IntArray = np.maximum.accumulate(low)
    fewest_better = np.minimum.accumulate((flips - max_worse)[::-1])[::-1]
    closed: IntArray = flips - fewest_better
    return closed


def largest_probability(
    max_worse: IntArray, n: int, margin: float, *, against: float = 0.0
) -> float:
    """The supremum over the share of flips of the chance of those tables, from above (see top).

    With `against`, a level, only whether the result exceeds it is meant, and that is found sooner.
    """
    ask = (against - FLOOR) / (1 + SLACK) if against else 1.0
    settled = ask if against else 0.0

    def at(flip_share: FloatArray) -> FloatArray:
        return chance(max_worse, n, *rates(flip_share, margin))

    # Dense at both ends, where a rate is near 0 and the chances change fastest.
    angle = np.linspace(0.0, np.pi / 2, 2 * int(np.sqrt(n)) + 8)
    share = abs(margin) + (1 - abs(margin)) * np.sin(angle) ** 2
    value = at(share)
    best = float(value.max())
    cells = np.stack([share[:-1], share[1:], value[:-1], value[1:]])
    while cells.size and best <= ask:
        ceiling = _ceiling(cells, max_worse, n, margin)
        undecided = ceiling > max(best * (1 + SLACK) + FLOOR, settled)
        low, high, at_low, at_high = cells[:, undecided]
        middle = (low + high) / 2
        at_middle = at(middle)
        best = max(best, float(at_middle.max(initial=0.0)))
        lower_half = np.stack([low, middle, at_low, at_middle])
        cells = np.hstack([lower_half, np.stack([middle, high, at_middle, at_high])])
    return min(1.0, best * (1 + SLACK) + FLOOR)


def _ceiling(cells: FloatArray, max_worse: IntArray, n: int, margin: float) -> FloatArray:
    """An upper bound of f(psi), the chance of the tables, on each interval: the lower of two.

    - f falls in p12 and rises in p21, as the tables are closed under one worse flip less and one
      better flip more: f <= its value at (lowest p12, highest p21).
    - Each pair's density is linear in psi, so f'' = E[f; sum over pairs i != j of s_i s_j] with the
      scores s, and by Cauchy-Schwarz |f''| <= sqrt(2 f) n I, with I the information of one pair.
    """
    low, high, at_low, at_high = cells
    worse, better = rates(low, margin)
    corner = chance(max_worse, n, worse, rates(high, margin)[1])
    information = 1 / _above_0(4 * worse) + 1 / _above_0(4 * better) + 1 / _above_0(1 - high)
    bend = np.sqrt(2 * corner) * n * information * (high - low) ** 2 / 8
    ceiling: FloatArray = np.minimum(corner, np.maximum(at_low, at_high) + bend)
    return ceiling


def rates(flip_share: FloatArray, margin: float) -> tuple[FloatArray, FloatArray]:
    """p12 (worse) and p21 (better) for shares of flips at E[d] = margin."""
    worse, better = (flip_share + margin) / 2, (flip_share - margin) / 2
    return np.clip(worse, 0.0, 1.0), np.clip(better, 0.0, 1.0)


def chance(max_worse: IntArray, n: int, worse: FloatArray, better: FloatArray) -> FloatArray:
    """P(worse flips <= max_worse[flips]) for n pairs, for each pair of rates in two arrays.

    The flips are Bin(n, p12 + p21), the worse ones among them Bin(flips, p12 / (p12 + p21)).
    The chance within a number of flips follows from that within one flip less: one worse flip
    more than allowed leaves the tables, one better flip where one more is allowed enters them.
    """
    share = np.minimum(worse + better, 1.0)
    log_worse = np.log(_above_0(worse)) - np.log(_above_0(share))
    log_better = np.log(_above_0(better)) - np.log(_above_0(share))
    flips = np.arange(n)
    rises = max_worse[1:] > max_worse[:-1]
    at = np.maximum(max_worse[1:], max_worse[:-1])  # the number of worse ones that is at stake
    moves = (at >= 0) & (at <= flips)
    flips, rises, at = flips[moves], rises[moves], at[moves]
    log_step = (
        gammaln(flips + 1)
        - gammaln(at + 1)
        - gammaln(flips - at + 1)
        + np.outer(log_worse, at + ~rises)
        + np.outer(log_better, flips - at + rises)
    )
    within = np.zeros((worse.size, n + 1))
    within[:, 0] = max_worse[0] >= 0
    within[:, 1:][:, moves] = np.where(rises, 1.0, -1.0) * np.exp(log_step)
    np.cumsum(within, axis=1, out=within)
    weight: FloatArray = np.exp(
        _log_ways(n)
        + np.outer(np.log(_above_0(share)), np.arange(n + 1))
        + np.outer(np.log(_above_0(1 - share)), np.arange(n, -1, -1))
    )
    total: FloatArray = np.clip((weight * within).sum(axis=1), 0.0, 1.0)
    return total


@lru_cache(maxsize=256)
def _log_ways(n: int) -> FloatArray:
    """Log of the number of ways to choose 0..n of n."""
    flips = np.arange(n + 1)
    ways: FloatArray = gammaln(n + 1) - gammaln(flips + 1) - gammaln(n - flips + 1)
    return ways


def _above_0(rate: FloatArray) -> FloatArray:
    """Keeps logarithms and reciprocals of a rate of 0 finite; their weight is 0 all the same."""
    return np.maximum(rate, 1e-300)
