"""Logistic regression on named features, regularised towards zero, with few weights left.

Convex, so where the search starts does not matter; the weights are rounded to what decides.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit

from holdfast.judges.learned import Weights

Features = Mapping[str, float]

PENALTY = 10.0  # on half the squared length of the weights; the intercept is free
FEWEST_ROWS = 5  # that hold a feature
WEIGHTS = 4_000  # at most
DECIMALS = 3


def fit(rows: Sequence[Features], refused: Sequence[bool], counts: Sequence[float]) -> Weights:
    """Weights for a feature each, of the largest; `counts` says how much a row counts."""
    seen = Counter(name for row in rows for name in row)
    names = sorted(name for name in seen if seen[name] >= FEWEST_ROWS)
    first, _ = _minimum(rows, names, refused, counts)
    order = np.argsort(-np.abs(first), kind="stable")[:WEIGHTS]
    names = [names[at] for at in sorted(order)]
    weights, intercept = _minimum(rows, names, refused, counts)
    rounded = {name: round(float(w), DECIMALS) for name, w in zip(names, weights, strict=True)}
    return Weights(round(intercept, DECIMALS), {name: w for name, w in rounded.items() if w})


def _minimum(
    rows: Sequence[Features],
    names: Sequence[str],
    refused: Sequence[bool],
    counts: Sequence[float],
) -> tuple[np.ndarray, float]:
    """Weights and intercept at the minimum of the penalised loss."""
    matrix = _matrix(rows, names)
    sign = np.where(np.array(refused), 1.0, -1.0)
    count = np.array(counts)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        weights, intercept = point[:-1], point[-1]
        margin = sign * (matrix @ weights + intercept)
        pull = -count * sign * expit(-margin)
        value = float(count @ np.logaddexp(0, -margin) + PENALTY / 2 * weights @ weights)
        return value, np.append(matrix.T @ pull + PENALTY * weights, pull.sum())

    found = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B")
    return found.x[:-1], float(found.x[-1])


def _matrix(rows: Sequence[Features], names: Sequence[str]) -> csr_matrix:
    column = {name: at for at, name in enumerate(names)}
    cells = [
        (at, column[name], value)
        for at, row in enumerate(rows)
        for name, value in row.items()
        if name in column
    ]
    at, columns, values = zip(*cells, strict=True)
    return csr_matrix((values, (at, columns)), shape=(len(rows), len(names)))
