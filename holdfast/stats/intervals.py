"""Intervals that show what the deciding tests decided: the margins that neither of them refutes.

The upper end inverts the pass test, the lower end the fail test, each at alpha; each end covers
with probability 1 - alpha at least, both together with 1 - 2 alpha. A margin above the upper end is
a shown pass, one below the lower end a shown fail. The p of a discrete exact test does not fall
quite steadily in the margin, so the margins it refutes can have a hole just beyond the first one:
the end is then the far side of the hole, and a margin in front of it may have passed on its own p.
"""

from functools import lru_cache

from holdfast.stats.betting import betting_bound
from holdfast.stats.paired import refuted
from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import FloatArray

WIDTH = 1e-4  # the ends are rounded outwards by less than this
STEP = 0.0025  # between the margins at which a hole is looked for
HOLE = 10  # steps; the farthest one met in an enumeration ended 0.0055 beyond, for n >= 100


@lru_cache(maxsize=4096)
def paired_interval(worse: int, better: int, n: int, alpha: float) -> tuple[float, float]:
    """Bounds of E[d] from `paired.exact_p`; (-1, 1) without pairs."""
    if n == 0:
        return -1.0, 1.0
    return -_upper(better, worse, n, alpha), _upper(worse, better, n, alpha)


def _upper(worse: int, better: int, n: int, alpha: float) -> float:
    """The smallest margin beyond which the pass test refutes all; 1 where it refutes none."""
    if not refuted(worse, better, n, 1.0, alpha=alpha, side="pass"):
        return 1.0
    end = _crossing((worse, better, n), alpha, low=(worse - better) / n, high=1.0)
    for steps in range(HOLE, 0, -1):
        low = end + steps * STEP
        if low < 1.0 and not refuted(worse, better, n, low, alpha=alpha, side="pass"):
            return _crossing((worse, better, n), alpha, low=low, high=min(1.0, low + STEP))
    return end


def _crossing(table: tuple[int, int, int], alpha: float, *, low: float, high: float) -> float:
    while high - low > WIDTH:
        middle = (low + high) / 2
        if refuted(*table, middle, alpha=alpha, side="pass"):
            high = middle
        else:
            low = middle
    return high


def mean_interval(
    x: FloatArray | Ranges, alpha: float, *, upper_of: FloatArray | Ranges | None = None
) -> tuple[float, float]:
    """Bounds of E[x] from `betting.betting_p`, on the scale of x in [0, 1].

    `upper_of` is x as the pass test has it, where lost numbers are not the same for both tests.
    """
    upper = betting_bound(x if upper_of is None else upper_of, alpha, side="upper")
    return betting_bound(x, alpha, side="lower"), upper
