"""Holm's step-down adjustment: a fail must survive how many rules were asked.

One flat family holds every blocking rule that has a p value. Holm (1979) keeps the chance of any
false fail at alpha under every dependence between the rules. A pass needs no adjustment: it demands
every rule at once, so asking more rules only makes it harder.
"""

from collections.abc import Sequence


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values in the order given; None (a rule without a p) stays out of the family."""
    family = [i for i, p in enumerate(ps) if p is not None]
    if any(not 0.0 <= p <= 1.0 for p in ps if p is not None):
        raise ValueError(f"p values are {list(ps)!r}, expected numbers in [0, 1] or None")
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, i in enumerate(sorted(family, key=lambda i: ps[i] or 0.0)):
        largest = max(largest, min(1.0, (len(family) - rank) * (ps[i] or 0.0)))
        adjusted[i] = largest
    return adjusted
