"""Power of a check of a given size: planning numbers, which decide nothing.

They are about the tests that decide, not about their approximations: chances under the exact test
are sums over all tables, chances under the betting test are simulated, with a seed that is part of
the method. A simulated cluster has two items, each worse with probability (psi + change) / 2 and
better with (psi - change) / 2, and with probability ALIKE the second does what the first did.
`sequential` is betting on single items. psi is the share of items whose outcome flips either way,
which is the noise that a check has to see through; n counts items for the exact test, clusters for
the others.
"""

from bisect import bisect_left
from functools import lru_cache
from math import ceil, sqrt
from typing import Literal

import numpy as np
from scipy.special import bdtr, ndtri

from holdfast.stats import paired
from holdfast.stats.betting import log_capital
from holdfast.stats.caps import cap_p
from holdfast.stats.groups import gap_p
from holdfast.stats.judged import JudgeRates, judged_p
from holdfast.stats.sides import FloatArray, IntArray

Method = Literal["exact", "betting", "sequential"]

POWER = 0.8  # what counts as able to see
MDE_STEPS = 10  # halvings: to 0.001
GROWTH = 1.05  # between the sizes tried; the answer is too large by less than this
PLANNED_UP_TO = 1000  # beyond, `n_to_decide` is the normal approximation's, by then 5 % too large
MDE_UP_TO: dict[Method, int] = {
    "exact": 480,
    "betting": 240,
    "sequential": 240,
}  # beyond, it falls with sqrt(n)
ALIKE = 0.3  # items of one cluster resemble each other
SEED = 8128
RUNS = 2000
GAP_RUNS = 400
BLOCK = 500_000  # simulated clusters held at once


@lru_cache(maxsize=4096)
def chance_to_pass(n: int, psi: float, margin: float, alpha: float, *, method: Method) -> float:
    """The chance that a checkpoint which flips a share psi, but on average to no worse, passes."""
    return _chance(n, psi, 0.0, margin, alpha, method=method)


@lru_cache(maxsize=4096)
def mde(n: int, psi: float, alpha: float, *, method: Method) -> float:
    """Minimum detectable effect: the smallest true worsening E[d] that a check of this size shows.

    Shown means that the fail test of H0: E[d] <= 0 refutes it at alpha, with chance 0.8, where a
    share max(psi, worsening) of the items flips. Against a margin, about this much has to be added
    to the margin. Rounded up to 0.001; 1 where nothing smaller can be seen. Above MDE_UP_TO it is
    scaled from there: 5 % too small at 2000 pairs with a tenth flipping.
    """
    largest = MDE_UP_TO[method]
    if n > largest:
        return mde(largest, psi, alpha, method=method) * sqrt(largest / n)
    low, high = 0.0, 1.0
    for _ in range(MDE_STEPS):
        middle = (low + high) / 2
        # Worse shown above 0 is better shown below 0, for which there is the pass test.
        chance = _chance(n, max(psi, middle), -middle, 0.0, alpha, method=method)
        low, high = (low, middle) if chance >= POWER else (middle, high)
    return high


@lru_cache(maxsize=1024)
def n_to_decide(psi: float, margin: float, alpha: float, *, method: Method) -> int | None:
    """The n at which an unchanged-on-average checkpoint passes with chance 0.8; None at margin 0.

    Found by steps of 5 % from the normal approximation, and rounded up to such a step.
    """
    if margin <= 0.0:
        return None
    quantiles = float(ndtri(1 - alpha) + ndtri(POWER))
    n = ceil(quantiles**2 * psi / margin**2 + 2 / margin)
    if n > PLANNED_UP_TO:
        return n

    def enough(n: int) -> bool:
        return chance_to_pass(n, psi, margin, alpha, method=method) >= POWER

    while not enough(n):
        n = ceil(n * GROWTH)
    while n > 1 and enough(int(n / GROWTH)):
        n = int(n / GROWTH)
    return n


@lru_cache(maxsize=1024)
def chance_gap_passes(n_group: int, n_rest: int, psi: float, gap: float, alpha: float) -> float:
    """The chance that a group which changes no more than the rest passes a gap rule; simulated."""
    rng = np.random.default_rng(SEED)
    passed = [
        gap_p(
            _clusters(rng, 1, n_group, psi, 0.0)[0],
            _clusters(rng, 1, n_rest, psi, 0.0)[0],
            gap,
            side="pass",
        )
        <= alpha
        for _ in range(GAP_RUNS)
    ]
    return float(np.mean(passed))


def chance_under_cap(
    n: int, rate: float, cap: float, alpha: float, judge: JudgeRates | None = None
) -> float:
    """The chance that a candidate with this rate on n single items is shown to be under the cap."""

    def not_shown(bad: int) -> bool:
        def p_of(apparent: float) -> float:
            return cap_p(bad, n, apparent, side="pass")

        return (p_of(cap) if judge is None else judged_p(p_of, cap, judge, side="pass")) > alpha

    shown = bisect_left(range(n + 1), True, key=not_shown)  # so many numbers of bad ones, from 0 up
    return float(bdtr(shown - 1, n, rate)) if shown else 0.0


def _chance(
    n: int, psi: float, change: float, margin: float, alpha: float, *, method: Method
) -> float:
    """The chance that the pass test shows E[d] < margin when E[d] = change."""
    if method == "exact":
        worse, better = paired.rates(np.array([psi]), change)
        return float(paired.chance(_shown(n, margin, alpha), n, worse, better)[0])
    if n == 0:
        return 0.0
    rng = np.random.default_rng(SEED)
    draw = _singles if method == "sequential" else _clusters
    rows = max(1, min(RUNS, BLOCK // n))
    shown = [
        log_capital(draw(rng, rows, n, psi, change), (margin + 1) / 2, side="pass").max(axis=1)
        >= -np.log(alpha)
        for _ in range(ceil(RUNS / rows))
    ]
    return float(np.mean(shown))


@lru_cache(maxsize=1024)
def _shown(n: int, margin: float, alpha: float) -> IntArray:
    """The tables for which the exact pass test is at most alpha, as `paired.tables_up_to` has them.

    Their largest statistic is known to 0.002 from below, so a chance is never overstated.
    """

    def refuted(z: float) -> bool:
        tables = paired.tables_up_to(z, n, margin)
        return paired.largest_probability(tables, n, margin, against=alpha) <= alpha

    low, high = float(ndtri(alpha)) - 0.75, float(ndtri(alpha)) + 0.25
    while not refuted(low):
        if paired.tables_up_to(low, n, margin).max() < 0:
            return paired.tables_up_to(low, n, margin)
        low, high = low - 1.0, low
    while high - low > 0.002:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return paired.tables_up_to(low, n, margin)


def _clusters(rng: np.random.Generator, runs: int, n: int, psi: float, change: float) -> FloatArray:
    """(mean d of a simulated cluster + 1) / 2, shape (runs, n)."""
    u = rng.random((runs, n, 2))
    u[..., 1] = np.where(rng.random((runs, n)) < ALIKE, u[..., 0], u[..., 1])
    worse, better = (psi + change) / 2, (psi - change) / 2
    d = (u < worse).astype(np.float64) - (u > 1 - better)
    x: FloatArray = (d.mean(axis=-1) + 1) / 2
    return x


def _singles(rng: np.random.Generator, runs: int, n: int, psi: float, change: float) -> FloatArray:
    """(d of a simulated item + 1) / 2, shape (runs, n)."""
    u = rng.random((runs, n))
    worse, better = (psi + change) / 2, (psi - change) / 2
    d = (u < worse).astype(np.float64) - (u > 1 - better)
    x: FloatArray = (d + 1) / 2
    return x
