"""A bootstrap interval, to draw and never to decide: where nothing varies it has no width.

For a weighted mean of per-prompt sums, such as nats a token: prompts are resampled, not tokens,
since the tokens of one answer go together.
"""

import numpy as np

from holdfast.stats.sides import FloatArray

DRAWS = 2000
LEVEL = 0.95


def mean_interval(
    values: FloatArray, weights: FloatArray, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """The central interval of sum(values) / sum(weights) over resampled rows, by percentiles."""
    size = values.size
    if size == 0:
        raise ValueError("no rows to resample, expected at least 1")
    raw = np.random.PCG64(seed).random_raw(draws * size)  # a stream that numpy keeps for ever
    picked = (raw % np.uint64(size)).astype(np.int64).reshape(draws, size)
    means = values[picked].sum(axis=1) / weights[picked].sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
