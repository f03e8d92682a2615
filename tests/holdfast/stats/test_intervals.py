"""Intervals say what the tests say: refuted outside, standing at the ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.stats.betting import betting_p
from holdfast.stats.intervals import WIDTH, mean_interval, paired_interval
from holdfast.stats.paired import exact_p, refuted

TABLES = [(9, 2, 100), (0, 0, 100), (14, 14, 280), (1, 0, 110), (6, 20, 100), (3, 0, 5), (5, 0, 5)]


@pytest.mark.parametrize(("worse", "better", "n"), TABLES)
@pytest.mark.parametrize("alpha", [0.025, 0.2])
def test_margins_outside_are_refuted_and_the_ends_are_not(
    worse: int, better: int, n: int, alpha: float
) -> None:
    low, high = paired_interval(worse, better, n, alpha)
    assert -1 <= low <= (worse - better) / n <= high <= 1
    for outside in np.linspace(high, 1, 8) if high < 1 else []:
        assert exact_p(worse, better, n, float(outside), side="pass") <= alpha
    for outside in np.linspace(-1, low, 8) if low > -1 else []:
        assert exact_p(worse, better, n, float(outside), side="fail") <= alpha
    assert exact_p(worse, better, n, high - WIDTH if high < 1 else 1.0, side="pass") > alpha
    assert exact_p(worse, better, n, low + WIDTH if low > -1 else -1.0, side="fail") > alpha


def test_wider_than_tangos_and_never_without_width() -> None:
    """Tango's asymptotic 95 % interval of 9 worse and 2 better of 100 is (.00596, .14589)."""
    low, high = paired_interval(9, 2, 100, 0.025)
    assert low < 0.00596
    assert 0.14589 < high < 0.16
    low, high = paired_interval(0, 0, 100, 0.025)
    assert (low, high) == (pytest.approx(-0.04, abs=0.01), pytest.approx(0.04, abs=0.01))


def test_a_hole_in_the_refuted_margins_is_passed() -> None:
    """6 worse, 20 better of 100: -0.053 is refuted at 0.05, but some margins beyond it are not."""
    _, high = paired_interval(6, 20, 100, 0.05)
    assert refuted(6, 20, 100, -0.0527, alpha=0.05, side="pass")
    assert high > -0.05
    for beyond in np.arange(high, high + 0.05, 0.001):
        assert refuted(6, 20, 100, float(beyond), alpha=0.05, side="pass")


def test_no_pairs_leave_everything_open() -> None:
    assert paired_interval(0, 0, 0, 0.05) == (-1.0, 1.0)
    assert mean_interval(np.array([], dtype=float), 0.05) == (0.0, 1.0)


def test_exchanging_the_checkpoints_mirrors_the_interval() -> None:
    low, high = paired_interval(12, 3, 150, 0.05)
    assert paired_interval(3, 12, 150, 0.05) == (-high, -low)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 150), st.floats(0, 1), st.integers(0, 2**32))
def test_mean_interval_is_what_betting_leaves_standing(n: int, rate: float, seed: int) -> None:
    x = (np.random.default_rng(seed).random(n) < rate) / 2 + 0.25
    low, high = mean_interval(x, 0.05)
    assert 0 <= low <= x.mean() <= high <= 1
    if high < 1:
        assert betting_p(x, high, side="pass") <= 0.05 < betting_p(x, high - 1e-6, side="pass")
    if low > 0:
        assert betting_p(x, low, side="fail") <= 0.05 < betting_p(x, low + 1e-6, side="fail")
