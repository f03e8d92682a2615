"""The numbers of docs/statistics.md: `python benchmarks/verdict_figures.py` prints all of them."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from holdfast.stats.betting import betting_p, log_capital
from holdfast.stats.intervals import mean_interval, paired_interval
from holdfast.stats.paired import exact_p, largest_probability, tables_up_to, tango_z
from holdfast.stats.power import chance_gap_passes, chance_to_pass, mde, n_to_decide
from holdfast.stats.sides import FloatArray

ALPHA = 0.05
Z = -1.6448536269514722
FLIPS = (0.06, 0.10, 0.20)


def exact_region(n: int, margin: float) -> float:
    """Largest z whose tables have p <= alpha, by halving."""
    low, high = -4.0, 0.0
    for _ in range(24):
        z = (low + high) / 2
        p = largest_probability(tables_up_to(z, n, margin), n, margin, against=ALPHA)
        low, high = (z, high) if p <= ALPHA else (low, z)
    return low


def sizes() -> Iterator[str]:
    """Largest chance of a wrong answer on the boundary: Tango's z test and the exact one."""
    for n in (40, 110, 160, 280, 480):
        for margin in (0.04, 0.05, 0.10, 0.15):
            found = [
                largest_probability(tables_up_to(z, n, m), n, m)
                for m in (margin, -margin)
                for z in (Z, exact_region(n, m))
            ]
            yield (
                f"n {n} margin {margin}: false pass {found[0]:.3f} Tango {found[1]:.3f} exact, "
                f"false fail {found[2]:.3f} Tango {found[3]:.3f} exact"
            )


def false_alarms() -> Iterator[str]:
    """Betting, at any of 400 looks, on the boundary of the null."""
    nulls: dict[str, tuple[float, Callable[[np.random.Generator], FloatArray]]] = {
        "coin, mean .5": (0.5, lambda r: (r.random((10_000, 400)) < 0.5).astype(np.float64)),
        "5 % ones": (0.05, lambda r: (r.random((10_000, 400)) < 0.05).astype(np.float64)),
        "10 % net worse": (0.55, lambda r: np.where(r.random((10_000, 400)) < 0.1, 1.0, 0.5)),
        "uniform": (0.5, lambda r: r.random((10_000, 400))),
    }
    for name, (mean, draw) in nulls.items():
        x = draw(np.random.default_rng(1))
        rates = [
            float((log_capital(x, mean, side="pass").max(axis=1) >= np.log(20)).mean()),
            float((log_capital(x, mean, side="fail").max(axis=1) >= np.log(20)).mean()),
        ]
        yield f"{name}: false pass {rates[0]:.4f}, false fail {rates[1]:.4f}"


def powers() -> Iterator[str]:
    """What a check can see."""
    for margin, n in ((0.05, 160), (0.05, 240), (0.05, 480), (0.10, 100), (0.10, 160), (0.10, 280)):
        row = [chance_to_pass(n, psi, margin, ALPHA, method="exact") for psi in FLIPS]
        yield f"exact, margin {margin}, n {n}: " + " ".join(f"{p:.2f}" for p in row)
    for margin, n in ((0.10, 100), (0.10, 150), (0.15, 100)):
        row = [chance_to_pass(n, psi, margin, ALPHA, method="betting") for psi in FLIPS]
        yield f"betting, margin {margin}, n {n}: " + " ".join(f"{p:.2f}" for p in row)
    row = [chance_gap_passes(100, 400, psi, 0.15, ALPHA) for psi in FLIPS]
    yield "gap .15, 100 against 400 clusters: " + " ".join(f"{p:.2f}" for p in row)
    for n in (40, 100, 160, 280, 480):
        row = [mde(n, psi, ALPHA, method="exact") for psi in FLIPS]
        yield f"mde exact, n {n}: " + " ".join(f"{p:.3f}" for p in row)
    for n in (50, 100, 200):
        row = [mde(n, psi, ALPHA, method="betting") for psi in FLIPS]
        yield f"mde betting, n {n}: " + " ".join(f"{p:.3f}" for p in row)
    for margin in (0.05, 0.10):
        sizes_needed = [n_to_decide(psi, margin, ALPHA, method="exact") for psi in FLIPS]
        yield f"n to decide, margin {margin}: {sizes_needed}"


def examples() -> Iterator[str]:
    """Single tables."""
    yield f"1 worse of 110, margin .04: z {tango_z(1, 0, 110, 0.04):.3f}"
    yield f"  exact p {exact_p(1, 0, 110, 0.04, side='pass'):.4f}"
    for lost in (0, 1, 3):
        p = exact_p(8 + lost, 5, 160, 0.10, side="pass")
        yield f"8 worse, 5 better, {lost} lost of 160, margin .10: p_pass {p:.4f}"
    for worse, better, n in ((0, 0, 100), (9, 2, 100), (8, 5, 160)):
        low, high = paired_interval(worse, better, n, ALPHA)
        yield f"interval {worse} worse {better} better of {n}: [{low:.4f}, {high:.4f}]"
    quiet = [n for n in range(1, 300) if betting_p(np.full(n, 0.5), 0.55, side="pass") <= ALPHA]
    yield f"quiet clusters until betting shows under .10: {quiet[0]}"
    low, high = mean_interval(np.full(100, 0.5), ALPHA)
    yield f"interval of 100 quiet clusters: [{2 * low - 1:.4f}, {2 * high - 1:.4f}]"


def times() -> Iterator[str]:
    """Milliseconds of one p value, uncached, hardest side."""
    for worse, better, n in ((14, 14, 280), (24, 24, 480), (130, 100, 2000)):
        start = time.perf_counter()
        exact_p(worse, better, n, 0.0501, side="pass")
        yield f"exact_p n {n}: {1e3 * (time.perf_counter() - start):.0f} ms"


if __name__ == "__main__":
    for part in (examples, sizes, false_alarms, powers, times):
        print(f"\n{part.__doc__}")
        for line in part():
            print("  " + line)
