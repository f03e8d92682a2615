"""What stopping early saves: items until a decision, beside the fixed size with 90 % power.

    python benchmarks/sequential.py [--runs 4000]

Simulated paired items that get worse with probability (psi + change) / 2 and better with
(psi - change) / 2, one check, alpha .05. "Fixed" is the smallest n at which the exact paired test
decides with power .9; "sequential" is when the betting test of the same hypothesis first crosses,
item by item and at the looks that a worker takes, in items (mean and median over runs, runs that
never cross counted at twice the fixed size; "in suite" where there are only so many items as the
fixed size). Nothing here calls a model. The figures are in docs/benchmarks.md.
"""

import argparse
import json
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path

import numpy as np

from holdfast.settings import make_folder
from holdfast.stats.betting import log_capital
from holdfast.stats.paired import exact_p
from holdfast.stats.sides import FloatArray, Side
from workers.evaluation.looks import schedule

ALPHA = 0.05
POWER = 0.9
RUNS_OF_POWER = 600
ENDLESS = 10**6  # items


@dataclass(frozen=True, slots=True)
class Case:
    """One true change, and the answer that it should get at a margin."""

    name: str
    side: Side
    margin: float
    change: float
    psi: float  # share of items that flip either way

    @property
    def rates(self) -> tuple[float, float]:
        """How often an item gets worse, and better."""
        return (self.psi + self.change) / 2, (self.psi - self.change) / 2


CASES = (
    Case("gross: +30 points", "fail", margin=0.05, change=0.30, psi=0.34),
    Case("twice the margin", "fail", margin=0.05, change=0.10, psi=0.14),
    Case("twice the margin, wide", "fail", margin=0.10, change=0.20, psi=0.24),
    Case("no effect, 6 % flip", "pass", margin=0.05, change=0.00, psi=0.06),
    Case("no effect, 6 % flip, wide", "pass", margin=0.10, change=0.00, psi=0.06),
    Case("no effect, 10 % flip, wide", "pass", margin=0.10, change=0.00, psi=0.10),
)


def main() -> None:
    """Every case, one line each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    record = [measured(case, runs) for case in CASES]
    target = Path(".holdfast/bench/sequential.json")
    make_folder(target.parent)
    target.write_text(json.dumps(record, indent=1))


def measured(case: Case, runs: int) -> dict[str, str | float]:
    """One row of the table."""
    fixed = fixed_size(case)
    times = crossing_times(case, runs, most=2 * max(fixed, 40))
    looks = np.minimum([look_at(time) for time in times], 2 * fixed)
    row: dict[str, str | float] = {
        "case": case.name,
        "fixed": fixed,
        "mean": round(float(times.mean()), 1),
        "median": float(np.median(times)),
        "ratio": round(float(times.mean()) / fixed, 2),
        "ratio_in_suite": round(float(np.minimum(times, fixed).mean()) / fixed, 2),
        "mean_at_looks": round(float(looks.mean()), 1),
        "undecided_at_fixed": round(float((times > fixed).mean()), 3),
    }
    print(json.dumps(row))
    return row


def fixed_size(case: Case) -> int:
    """The smallest n (by steps of 2 %) at which the exact test decides with power .9."""
    n = 20
    while power_at(n, case) < POWER:
        n = ceil(n * 1.02)
    return n


def power_at(n: int, case: Case) -> float:
    """Simulated, good to about a hundredth."""
    rng = np.random.default_rng(n)
    worse, better = case.rates
    tables = rng.multinomial(n, [worse, better, 1 - case.psi], size=RUNS_OF_POWER)
    flips, counts = np.unique(tables[:, :2], axis=0, return_counts=True)
    shown = [exact_p(w, b, n, case.margin, side=case.side) <= ALPHA for w, b in flips.tolist()]
    return float(np.average(shown, weights=counts))


def crossing_times(case: Case, runs: int, most: int) -> FloatArray:
    """After how many items each run first shows its answer; `most` where it does not."""
    u = np.random.default_rng(8128).random((runs, most))
    worse, better = case.rates
    d = (u < worse).astype(np.float64) - (u > 1 - better)
    capital = log_capital((d + 1) / 2, (case.margin + 1) / 2, side=case.side)
    crossed = capital >= -log(ALPHA)
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, most)
    return first.astype(np.float64)


def look_at(items: float) -> float:
    """The first look at or after so many items."""
    return next(reach for reach in schedule(ENDLESS) if reach >= items)


if __name__ == "__main__":
    main()
