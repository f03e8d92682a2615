"""Intervals that cannot contradict an outcome: the margins that neither deciding test refutes.

The upper end inverts the pass test, the lower end the fail test, each at alpha; together they cover
with probability 1 - 2 alpha at least. An upper end below the margin is a shown pass, a lower end
above it a shown fail, and nothing else is either.
"""

from functools import lru_cache

from holdfast.stats.betting import betting_bound
from holdfast.stats.paired import exact_p
from holdfast.stats.sides import FloatArray

WIDTH = 1e-4  # the ends are rounded outwards to within this


@lru_cache(maxsize=4096)
def paired_interval(worse: int, better: int, n: int, alpha: float) -> tuple[float, float]:
    """Bounds of E[d] from `paired.exact_p`; (-1, 1) without pairs."""
    if n == 0:
        return -1.0, 1.0
    return -_upper(better, worse, n, alpha), _upper(worse, better, n, alpha)


def _upper(worse: int, better: int, n: int, alpha: float) -> float:
    """The smallest margin found that the pass test shows; 1 where it shows none."""
    low, high = (worse - better) / n, 1.0
    if exact_p(worse, better, n, 1.0, side="pass") > alpha:
        return 1.0
    while high - low > WIDTH:
        middle = (low + high) / 2
        if exact_p(worse, better, n, middle, side="pass") > alpha:
            low = middle
        else:
            high = middle
    return high


def mean_interval(x: FloatArray, alpha: float) -> tuple[float, float]:
    """Bounds of E[x] from `betting.betting_p`, on the scale of x in [0, 1]."""
    return betting_bound(x, alpha, side="lower"), betting_bound(x, alpha, side="upper")
