"""Paired outcomes with a known truth: chances of tables, clusters, and paths that are looked at.

An item gets worse with probability (psi + change) / 2 and better with (psi - change) / 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.special import gammaln, xlogy

from benchmarks.deciders import Clusters
from holdfast.stats.betting import log_capital
from holdfast.stats.sides import FloatArray, IntArray, Side
from workers.evaluation.looks import schedule

GRADES = np.array([0.25, 0.5, 1.0])  # how far a graded badness moves, equally often
PART = 2000  # runs drawn at once


def table_chances(n: int, change: float, psi: float) -> FloatArray:
    """The chance of every table, by [worse, better]; it adds up to 1."""
    worse, better = np.ogrid[: n + 1, : n + 1]
    rest = n - worse - better
    up, down = rates(change, psi)
    log_chance = (
        gammaln(n + 1) - gammaln(worse + 1) - gammaln(better + 1) - gammaln(np.maximum(rest, 0) + 1)
    )
    log_chance = log_chance + xlogy(worse, up) + xlogy(better, down)
    log_chance += xlogy(np.maximum(rest, 0), max(0.0, 1 - psi))
    found: FloatArray = np.where(rest >= 0, np.exp(log_chance), 0.0)
    return found


def rates(change: float, psi: float) -> tuple[float, float]:
    """How often an item gets worse, and better; psi below the change is raised to it."""
    psi = max(psi, abs(change))
    return max(0.0, (psi + change) / 2), max(0.0, (psi - change) / 2)


def flip_shares(margin: float, points: int = 160) -> FloatArray:
    """The nuisance: shares of flips from the margin to 1, close to each other at both ends."""
    turn = np.sin(np.linspace(0, np.pi / 2, points)) ** 2
    shares: FloatArray = margin + (1 - margin) * turn
    return shares


@dataclass(frozen=True, slots=True)
class ClusteredCase:
    """Clusters of 2 to 9 items; with probability `alike` all of a cluster do the same thing."""

    clusters: int
    alike: float
    psi: float
    graded: bool = False

    @property
    def name(self) -> str:
        kind = "graded" if self.graded else "yes or no"
        return f"{self.clusters} clusters, alike {self.alike:g}, flips {self.psi:g}, {kind}"


def clusters(case: ClusteredCase, change: float, runs: int, seed: int) -> Iterator[Clusters]:
    """Parts of all runs; within one, shape (runs, clusters, 9). `psi` is of whole flips."""
    sizes = 2 + np.arange(case.clusters) % 8
    held = np.arange(9) < sizes[:, None]
    scale = float(GRADES.mean()) if case.graded else 1.0
    up, down = rates(change / scale, case.psi)
    rng = np.random.default_rng(seed)
    for _ in range(0, runs, PART):
        u = rng.random((PART, case.clusters, 9))
        same = rng.random((PART, case.clusters)) < case.alike
        u = np.where(same[..., None], u[..., :1], u)
        d = (u < up).astype(np.float64) - (u > 1 - down)
        if case.graded:
            grade = GRADES[rng.integers(0, 3, (PART, case.clusters, 9))]
            d *= np.where(same[..., None], grade[..., :1], grade)
        yield Clusters(d, held)


@dataclass(frozen=True, slots=True)
class Looks:
    """Paths as they stand at the looks that a worker takes; arrays are (runs, looks)."""

    sizes: tuple[int, ...]
    worse: IntArray
    better: IntArray
    log_p: dict[Side, FloatArray]  # of the product's betting test, on all items so far


def looked_at(
    suite: int, margin: float, change: float, psi: float, *, runs: int, seed: int
) -> Looks:
    """Single items in sequence, at 40, 60, 80, ... up to the whole suite."""
    sizes = tuple(schedule(suite))
    at = np.array(sizes) - 1
    parts = islice(_paths(suite, change, psi, seed), runs // PART)
    counted = [_at_looks(d, at, margin) for d in parts]
    worse, better, p_pass, p_fail = (np.concatenate(one) for one in zip(*counted, strict=True))
    return Looks(sizes, worse, better, {"pass": p_pass, "fail": p_fail})


def _paths(n: int, change: float, psi: float, seed: int) -> Iterator[FloatArray]:
    rng = np.random.default_rng(seed)
    up, down = rates(change, psi)
    while True:
        u = rng.random((PART, n))
        yield (u < up).astype(np.float64) - (u > 1 - down)


def _at_looks(
    d: FloatArray, at: IntArray, margin: float
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    worse, better = np.cumsum(d > 0, axis=1)[:, at], np.cumsum(d < 0, axis=1)[:, at]

    def log_p(side: Side) -> FloatArray:
        capital = log_capital((d + 1) / 2, (margin + 1) / 2, side=side)
        peak: FloatArray = np.maximum.accumulate(capital, axis=1)[:, at]
        return -np.maximum(peak, 0.0)

    return worse.astype(np.int64), better.astype(np.int64), log_p("pass"), log_p("fail")
