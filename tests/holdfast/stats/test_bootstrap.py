import numpy as np
import pytest

from holdfast.stats.bootstrap import mean_interval


def test_it_is_about_as_wide_as_the_error_of_a_weighted_mean() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(5, 40, 400).astype(float)
    values = weights * rng.normal(0.2, 0.1, 400)
    low, high = mean_interval(values, weights)
    mean = values.sum() / weights.sum()
    error = np.sqrt(((values - mean * weights) ** 2).sum()) / weights.sum()
    assert low < mean < high
    assert (high - low) / (2 * 1.96) == pytest.approx(error, rel=0.1)


def test_the_same_every_time_and_empty_where_nothing_varies() -> None:
    values, weights = np.array([1.0, 2.0, 3.0]), np.ones(3)
    assert mean_interval(values, weights) == mean_interval(values, weights)
    assert mean_interval(np.full(9, 0.5), np.ones(9)) == (0.5, 0.5)
    with pytest.raises(ValueError, match="no rows"):
        mean_interval(np.array([]), np.array([]))


def test_another_seed_or_number_of_draws_is_another_interval_of_the_same_rows() -> None:
    rng = np.random.default_rng(1)
    values, weights = rng.random(50), np.ones(50)
    first = mean_interval(values, weights)
    assert first != mean_interval(values, weights, seed=1)
    assert first != mean_interval(values, weights, draws=500)
    assert first == pytest.approx(mean_interval(values, weights, seed=1), abs=0.02)


def test_a_row_counts_by_its_weight() -> None:
    heavy = mean_interval(np.array([9.0, 0.0]), np.array([9.0, 1.0]))
    assert heavy == (0.0, 1.0)  # one row drawn twice, or the other
    assert mean_interval(np.array([6.0]), np.array([4.0])) == (1.5, 1.5)
