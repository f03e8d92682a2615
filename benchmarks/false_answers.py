"""The chance that a decider says what is false, or in `power` what is true, in one case.

Every function gives a `Cell`: the chance by decider. `holdfast` is what the verdict does, with Holm
where there are several checks; peers correct nothing. A chance is a sum over all tables where the
data are counts of independent items, and a share of RUNS seeded runs elsewhere.
"""

import numpy as np

from benchmarks.deciders import CLUSTERED, TABLES, said_of, shown
from benchmarks.simulated import (
    ClusteredCase,
    Looks,
    clusters,
    flip_shares,
    looked_at,
    table_chances,
)
from holdfast.stats.multiplicity import holm
from holdfast.stats.paired import exact_p
from holdfast.stats.sides import FloatArray, IntArray, Side
from workers.evaluation.looks import schedule

ALPHA = 0.05
RUNS = 20_000
SEED = 8128
CHECKS = 12
SIDES: tuple[Side, Side] = ("pass", "fail")
PEERS = tuple(name for name in TABLES if name != "holdfast")
SUMMED_UP_TO = 300  # items: beyond, tables of the slow ones take minutes
SLOW = {"exact, peeked", "bootstrap", "bca"}
PEEKED = ("exact, peeked", *PEERS)  # our test for fixed runs, misused like the others

Cell = dict[str, float | None]  # by decider; None where it has no answer to such data


def size(n: int, margin: float, side: Side) -> Cell:
    """The largest chance of a false answer with the change at its margin, over the flips."""
    return largest({name: shown(name, n, margin, ALPHA, side) for name in TABLES}, n, margin)


def largest(answers: dict[str, FloatArray], n: int, margin: float) -> Cell:
    """Over the nuisance share of flips."""
    found = dict.fromkeys(answers, 0.0)
    for psi in flip_shares(margin):
        chances = table_chances(n, margin, float(psi))
        for name, said in answers.items():
            found[name] = max(found[name], float((chances * said).sum()))
    return dict(found)


def size_with_losses(n: int, margin: float, lost: int, side: Side, which: str) -> Cell:
    """`which` pairs are lost: any, or the ones that got worse (or better) before others.

    Ours counts a lost pair as worse (pass) or as no flip (fail); peers leave it out.
    """
    drawn = n - lost if which == "any" else n
    worse, better = np.indices((drawn + 1, drawn + 1))
    seen_worse = np.maximum(worse - lost, 0) if which == "worse" else worse
    seen_better = np.maximum(better - lost, 0) if which == "better" else better
    counted = seen_worse + lost if side == "pass" else seen_worse
    ours = shown("holdfast", n, margin, ALPHA, side)
    answers = {"holdfast": ours[np.minimum(counted, n), np.minimum(seen_better, n)]}
    for name in TABLES:
        if name != "holdfast":
            said = shown(name, n - lost, margin, ALPHA, side)
            answers[name] = said[
                np.minimum(seen_worse, n - lost), np.minimum(seen_better, n - lost)
            ]
    return largest(answers, drawn, margin)


def cluster_size(case: ClusteredCase, margin: float, side: Side) -> Cell:
    """Seeded runs with the change at the margin; the change is of a cluster's mean."""
    parts = [
        {
            name: float(said_of(name, runs, margin, ALPHA, side).mean())
            for name in CLUSTERED
            if not (case.graded and name == "tango, items")
        }
        for runs in clusters(case, margin, RUNS, SEED)
    ]
    return {
        name: float(np.mean([p[name] for p in parts])) if name in parts[0] else None
        for name in CLUSTERED
    }


def peeked_cluster_size(case: ClusteredCase, margin: float, side: Side) -> Cell:
    """The same where one looks after 40, 60, 80, ... clusters, and the first answer stands."""
    found: dict[str, list[float]] = {name: [] for name in CLUSTERED}
    for runs in clusters(case, margin, RUNS, SEED):
        for name, wrong in found.items():
            open_yet = np.ones(len(runs.changes), dtype=bool)
            given = np.zeros(len(runs.changes), dtype=bool)
            for size_of_look in schedule(case.clusters):
                so_far = runs.first(size_of_look)
                said = {one: said_of(name, so_far, margin, ALPHA, one) for one in SIDES}
                given |= open_yet & said[side]
                open_yet &= ~(said["pass"] | said["fail"])
            wrong.append(float(given.mean()))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def one_at_margin(n: int, margin: float, others: float) -> Cell:
    """A pass needs all: the chance for one at its margin times those of eleven others.

    These change by `others`, for better, and no item of theirs flips the other way.
    """
    answers = {name: shown(name, n, margin, ALPHA, "pass") for name in TABLES}
    chances = table_chances(n, others, abs(others))
    found = largest(answers, n, margin)
    return {
        name: (found[name] or 0.0) * float((chances * said).sum()) ** (CHECKS - 1)
        for name, said in answers.items()
    }


def all_at(n: int, margin: float, independent: int) -> Cell:
    """One false fail of twelve is enough; `independent` is 12, or 1 where all ask the same items.

    Ours: the smallest p is at most alpha / 12, Holm's first step, beyond which nothing is added.
    """
    levels = {name: ALPHA / CHECKS if name == "holdfast" else ALPHA for name in TABLES}
    answers = {name: shown(name, n, margin, levels[name], "fail") for name in TABLES}
    single = largest(answers, n, margin)
    return {name: 1 - (1 - (single[name] or 0.0)) ** independent for name in TABLES}


def mixed(n: int, margin: float) -> Cell:
    """Four checks 30 points worse, four at their margins, four unchanged; by the real Holm."""
    rng = np.random.default_rng(SEED)
    changes = (0.30,) * 4 + (margin,) * 4 + (0.0,) * 4
    tables = [flips(rng, n, change, max(0.10, change + 0.04)) for change in changes]
    ps = np.stack([p_fails(worse, better, n, margin) for worse, better in tables], axis=1)
    ours = np.mean([false_alarm(row, range(4, 8)) for row in ps.tolist()])
    found: Cell = {"holdfast": float(ours)}
    for name in TABLES:
        if name != "holdfast":
            said = shown(name, n, margin, ALPHA, "fail")
            alarms = np.stack([said[worse, better] for worse, better in tables[4:8]])
            found[name] = float((1 - np.prod(1 - alarms, axis=0)).mean())
    return found


def flips(rng: np.random.Generator, n: int, change: float, psi: float) -> tuple[IntArray, IntArray]:
    worse, better = (psi + change) / 2, (psi - change) / 2
    drawn = rng.multinomial(n, [worse, better, 1 - psi], size=RUNS)
    return drawn[:, 0], drawn[:, 1]


def p_fails(worse: IntArray, better: IntArray, n: int, margin: float) -> FloatArray:
    seen, index = np.unique(np.stack([worse, better], axis=1), axis=0, return_inverse=True)
    ps = [exact_p(w, b, n, margin, side="fail") for w, b in seen.tolist()]
    return np.array(ps)[index.ravel()]


def false_alarm(ps: list[float], nulls: range) -> bool:
    adjusted = holm(ps)
    return any((adjusted[i] or 0.0) <= ALPHA for i in nulls)


def peeked_size(suite: int, margin: float, psi: float, side: Side) -> Cell:
    """The first answer stands: how often it is the false one, with the change at its margin."""
    paths = looked_at(suite, margin, margin, psi, runs=RUNS, seed=SEED)
    found: Cell = dict.fromkeys(("holdfast", *PEEKED))
    for name in found:
        if suite <= SUMMED_UP_TO or name not in SLOW:
            found[name] = float(answered(paths, name, margin, side).mean())
    return found


def answered(paths: Looks, name: str, margin: float, side: Side) -> FloatArray:
    """Chance, in each run, that the first answer at any look is this one."""
    open_yet, found = np.ones(len(paths.worse)), np.zeros(len(paths.worse))
    for look in range(len(paths.sizes)):
        said = {one: said_at(paths, look, name, margin, one) for one in SIDES}
        found += open_yet * said[side]
        open_yet *= 1 - np.maximum(said["pass"], said["fail"])
    return found


def said_at(paths: Looks, look: int, name: str, margin: float, side: Side) -> FloatArray:
    """What is said at one look, whatever was said before."""
    if name == "holdfast":
        return (paths.log_p[side][:, look] <= np.log(ALPHA)).astype(np.float64)
    table = "holdfast" if name == "exact, peeked" else name
    said = shown(table, paths.sizes[look], margin, ALPHA, side)
    chances: FloatArray = said[paths.worse[:, look], paths.better[:, look]]
    return chances


def sequential_fail(suite: int, margin: float) -> Cell:
    """All twelve at their margins; ours fails a check at alpha / 12 and passes it at alpha."""
    paths = [
        looked_at(suite, margin, margin, 0.10, runs=RUNS, seed=SEED + check)
        for check in range(CHECKS)
    ]
    ps = np.stack([stop_p(one) for one in paths], axis=1).tolist()
    found: Cell = {"holdfast": float(np.mean([false_alarm(row, range(CHECKS)) for row in ps]))}
    for name in PEEKED:
        quiet = np.prod([1 - answered(one, name, margin, "fail") for one in paths], axis=0)
        found[name] = float(1 - quiet.mean())
    return found


def stop_p(paths: Looks) -> FloatArray:
    """The fail test's p where the worker stops asking: passed at alpha, failed at alpha / 12."""
    stop = (paths.log_p["pass"] <= np.log(ALPHA)) | (paths.log_p["fail"] <= np.log(ALPHA / CHECKS))
    stop[:, -1] = True
    at = stop.argmax(axis=1)
    return np.exp(paths.log_p["fail"][np.arange(len(at)), at])


def power(n: int, margin: float, change: float, psi: float, side: Side) -> Cell:
    """The chance of this answer; `sequential` is ours, looking, with a suite of n."""
    chances = table_chances(n, change, psi)
    found: Cell = {
        name: float((chances * shown(name, n, margin, ALPHA, side)).sum()) for name in TABLES
    }
    paths = looked_at(n, margin, change, psi, runs=RUNS, seed=SEED)
    found["sequential"] = float(answered(paths, "holdfast", margin, side).mean())
    return found
