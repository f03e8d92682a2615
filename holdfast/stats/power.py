"""What a check of a given size can see."""

from functools import lru_cache
from typing import Literal

import numpy as np

from holdfast.stats import paired
from holdfast.stats.betting import log_capital
from holdfast.stats.sides import FloatArray, IntArray

Method = Literal["exact", "betting"]

POWER = 0.8
RUNS = 2000
SEED = 20240  # of the simulations; part of the method, so that the numbers are reproducible
ALIKE = 0.3  # chance that both items of a simulated cluster do the same
Z_STEPS = 12
MDE_STEPS = 10
MAX_N = 16384


def chance_to_pass(n: int, psi: float, margin: float, alpha: float, *, method: Method) -> float:
    """Chance that a checkpoint that flips a share psi of items, on average to no worse, passes."""
    if method == "exact":
        return _exact_chance(n, psi, 0.0, margin, alpha)
    x = _simulated(n, psi, 0.0)
    peak = log_capital(x, (margin + 1) / 2, side="pass").max(axis=-1)
    return float((peak >= -np.log(alpha)).mean())


def mde(n: int, psi: float, alpha: float, *, method: Method) -> float:
    """Smallest true worsening that the fail test at margin 0 shows at alpha with power 0.8."""
    low, high = 0.0, 1.0
    for _ in range(MDE_STEPS):
        middle = (low + high) / 2
        if _chance_to_show(n, psi, middle, alpha, method) >= POWER:
            high = middle
        else:
            low = middle
    return high


def _chance_to_show(n: int, psi: float, worsening: float, alpha: float, method: Method) -> float:
    flips = max(psi, worsening)
    if method == "exact":  # worse above 0 is better below 0
        return _exact_chance(n, flips, -worsening, 0.0, alpha)
    x = _simulated(n, flips, worsening)
    peak = log_capital(x, 0.5, side="fail").max(axis=-1)
    return float((peak >= -np.log(alpha)).mean())


def n_to_decide(psi: float, margin: float, alpha: float, *, method: Method) -> int | None:
    """The n at which `chance_to_pass` reaches 0.8; None where even MAX_N does not."""
    low, high = 1, 16
    while chance_to_pass(high, psi, margin, alpha, method=method) < POWER:
        low, high = high, high * 2
        if high > MAX_N:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if chance_to_pass(middle, psi, margin, alpha, method=method) < POWER:
            low = middle
        else:
            high = middle
    return high


def _exact_chance(n: int, flips: float, change: float, margin: float, alpha: float) -> float:
    region = _pass_region(n, margin, alpha)
    worse, better = paired.rates(np.array([flips]), change)
    return float(paired.chance(region, n, worse, better)[0])


@lru_cache(maxsize=512)
def _pass_region(n: int, margin: float, alpha: float) -> IntArray:
    low, high = -6.0, 0.0
    for _ in range(Z_STEPS):
        z = (low + high) / 2
        p = paired.largest_probability(paired.at_most(z, n, margin), n, margin)
        low, high = (z, high) if p <= alpha else (low, z)
    return paired.at_most(low, n, margin)


def _simulated(n: int, psi: float, change: float) -> FloatArray:
    rng = np.random.default_rng(SEED)
    u = rng.random((RUNS, n, 2))
    u[..., 1] = np.where(rng.random((RUNS, n)) < ALIKE, u[..., 0], u[..., 1])
    d = (u < (psi + change) / 2).astype(float) - (u > 1 - (psi - change) / 2)
    x: FloatArray = (d.mean(axis=-1) + 1) / 2
    return x
