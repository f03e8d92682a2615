"""Clopper-Pearson: a rate against a cap, for binary outcomes of items that share nothing.

Exact for independent items with one common rate, hence conservative for most others. Clusters of
several items or graded badness are not binary items: they go to the betting test.
"""

from scipy.special import bdtr, bdtrc, betaincinv  # scipy.stats takes half a second to import

from holdfast.stats.sides import Side


def cap_p(bad: int, n: int, cap: float, *, side: Side) -> float:
    """The p of H0: rate >= cap (`pass`) or rate <= cap (`fail`) after `bad` of n; 1 if n = 0."""
    _check(bad, n)
    if not 0.0 <= cap <= 1.0:
        raise ValueError(f"cap is {cap!r}, expected a rate in [0, 1]")
    if side == "pass":
        return float(bdtr(bad, n, cap))
    return float(bdtrc(bad - 1, n, cap))


def rate_bounds(bad: int, n: int, alpha: float) -> tuple[float, float]:
    """The rates that neither `cap_p` refutes at alpha: two one-sided bounds, each at 1 - alpha.

    With nothing bad in n the upper one is 1 - alpha^(1/n): 0.0295 for 100 items at 0.05.
    """
    _check(bad, n)
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}, expected a number in (0, 1)")
    low = float(betaincinv(bad, n - bad + 1, alpha)) if bad else 0.0
    high = float(betaincinv(bad + 1, n - bad, 1 - alpha)) if bad < n else 1.0
    return low, high


def _check(bad: int, n: int) -> None:
    if not 0 <= bad <= n:
        raise ValueError(f"{bad} bad of {n} items is no count")
