"""Other bets for the sequential test, beside the one that decides: items asked, and power.

    python benchmarks/bets.py [--runs 4000]

Every variant bets only on what came before, so each is as valid as the published one; what differs
is how soon it shows something. A case is asked in suites as large as the fixed size with 90 % power
and half as large again, at the worker's looks and at others: the mean of the items asked, as a
share of that fixed size, and how often the answer is shown at all. Figures in docs/benchmarks.md.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from benchmarks.sequential import ALPHA, CASES, POWER, Case, fixed_size
from holdfast.settings import make_folder
from holdfast.stats.betting import TRUNCATION
from holdfast.stats.sides import FloatArray
from workers.evaluation.looks import FIRST_LOOK, schedule

NEED = -log(ALPHA)
TARGET = Path(".holdfast/bench/bets.json")
SUITES = (1.0, 1.5)  # times the fixed size


@dataclass(frozen=True, slots=True)
class State:
    """What a bet may know, one number a run; x and mean are of the fail question."""

    mean: float  # of the null
    running: FloatArray
    variance: FloatArray
    counts: FloatArray  # (3, runs): how often x was 0, 1/2, 1, with a third of an imagined one each
    log_capital: FloatArray
    left: int  # items that are yet to come in the suite


Bet = Callable[[State], FloatArray]


def kelly(state: State, most: float = TRUNCATION) -> FloatArray:
    """The published bet; `most` is the share of the ruinous bet where it is cut."""
    edge = state.running - state.mean
    return np.clip(edge / (state.variance + edge**2), 0.0, most / state.mean)


def growth(state: State) -> FloatArray:
    """The constant bet that would have grown most so far (GRAPA), by halving its derivative."""
    gains = np.array([0.0, 0.5, 1.0])[:, None] - state.mean
    low, high = np.zeros_like(state.running), np.full_like(state.running, TRUNCATION / state.mean)
    for _ in range(16):
        middle = (low + high) / 2
        rises = (state.counts * gains / (1 + middle * gains)).sum(axis=0) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return low


def in_time(state: State) -> FloatArray:
    """Kelly, but at least what would reach 1 / alpha by the end of the suite where that is near.

    After Voracek and Orabona's target-recalculating bets: sqrt(2 need / (v left)).
    """
    need = np.maximum(NEED - state.log_capital, 0.0)
    hurry = np.sqrt(2 * need / (state.variance * max(1, state.left)))
    hopeful = state.running > state.mean
    hurried = np.where(hopeful, np.minimum(hurry, 0.9 / state.mean), 0.0)
    return np.maximum(kelly(state), hurried)


def constant(share: float) -> Bet:
    return lambda state: np.full_like(state.running, share / state.mean)


BETS: dict[str, tuple[Bet, ...]] = {  # several: the average of their capitals
    "published: Kelly, cut at 1/2": (kelly,),
    "Kelly, cut at 3/4": (lambda state: kelly(state, 0.75),),
    "Kelly, cut at 1/3": (lambda state: kelly(state, 1 / 3),),
    "growth so far (GRAPA), cut at 1/2": (growth,),
    "half Kelly, half constant .5": (kelly, constant(0.5)),
    "Kelly and constants .1 .3 .5": (kelly, constant(0.1), constant(0.3), constant(0.5)),
    "constants .3 .5 .7": (constant(0.3), constant(0.5), constant(0.7)),
    "Kelly, in time for the end": (in_time,),
}
LOOKS: dict[str, Callable[[int], Iterator[int]]] = {
    "x1.15, +20": schedule,  # the worker's
    "x1.5": lambda most: spaced(most, 1.5, 1),
    "x1.25": lambda most: spaced(most, 1.25, 1),
}
# What constant bets are bad at; 20 % flip and the margin is a tenth of that.
NARROW = (
    Case("no effect, 20 % flip, narrow", "pass", margin=0.02, change=0.00, psi=0.20),
    Case("twice the margin, narrow", "fail", margin=0.02, change=0.04, psi=0.20),
)


def planned(case: Case) -> int:
    """The fixed size with 90 % power; by the normal sum, in thousands, where margins are narrow."""
    if case not in NARROW:
        return fixed_size(case)
    quantiles = float(ndtri(1 - ALPHA) + ndtri(POWER))
    return ceil(quantiles**2 * case.psi / (case.change - case.margin) ** 2)


def spaced(most: int, factor: float, step: int) -> Iterator[int]:
    """Looks that are farther apart by a factor, and by so many items at least."""
    reach = FIRST_LOOK
    while reach < most:
        yield reach
        reach = max(reach + step, ceil(reach * factor))
    yield most


def main() -> None:
    """Every variant on every case; finished ones are kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    make_folder(TARGET.parent)
    done: dict[str, dict[str, float]] = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    for case in (*CASES, *NARROW):
        at = f"{case.name}, margin {case.margin:g}"
        if at not in done:
            done[at] = {"fixed": planned(case)}
        for name, bets in BETS.items():
            key = f"{at}: {name} ({runs})"
            if key not in done:
                done[key] = measured(case, bets, round(done[at]["fixed"]), runs)
                TARGET.write_text(json.dumps(done, indent=1))
            print(key, done[key])


def measured(case: Case, bets: tuple[Bet, ...], fixed: int, runs: int) -> dict[str, float]:
    """By suite and looks: mean items / fixed, and the share of runs that show the answer."""
    row: dict[str, float] = {}
    for times in SUITES:
        suite = ceil(times * fixed)
        first = crossings(case, bets, suite, runs)
        row[f"power x{times:g}"] = round(float((first <= suite).mean()), 3)
        row[f"median x{times:g}"] = float(np.median(first))
        for name, looks in LOOKS.items():
            sizes = np.array(list(looks(suite)))
            asked = sizes[np.minimum(np.searchsorted(sizes, first), len(sizes) - 1)]
            row[f"asked x{times:g}, {name}"] = round(float(asked.mean()) / fixed, 3)
    return row


def crossings(case: Case, bets: tuple[Bet, ...], suite: int, runs: int) -> FloatArray:
    """After how many items the average capital reaches 1 / alpha; suite + 1 where it does not."""
    u = np.random.default_rng(8128).random((runs, suite))
    worse, better = case.rates
    x = ((u < worse).astype(np.float64) - (u > 1 - better) + 1) / 2
    mean = (case.margin + 1) / 2
    if case.side == "pass":
        x, mean = 1 - x, 1 - mean
    capitals = np.stack([log_path(bet, x, mean) for bet in bets])
    average = np.logaddexp.reduce(capitals, axis=0) - log(len(bets))
    crossed = average >= NEED
    first: FloatArray = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, suite + 1)
    return first


def log_path(bet: Bet, x: FloatArray, mean: float) -> FloatArray:
    """Log capital after each number; the imagined first one is at 1/2, as in the published bet."""
    runs, n = x.shape
    total, spread = np.full(runs, 0.5), np.full(runs, 0.25)
    counts = np.full((3, runs), 1 / 3)
    path = np.zeros((runs, n + 1))
    for t in range(n):
        state = State(mean, total / (t + 1), spread / (t + 1), counts, path[:, t], n - t)
        path[:, t + 1] = path[:, t] + np.log1p(bet(state) * (x[:, t] - mean))
        total = total + x[:, t]
        spread = spread + (x[:, t] - total / (t + 2)) ** 2
        counts = counts + (np.array([0.0, 0.5, 1.0])[:, None] == x[:, t])
    return path[:, 1:]


if __name__ == "__main__":
    main()
