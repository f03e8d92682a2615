"""Clopper-Pearson, against statsmodels and against the tests that it inverts."""

import pytest
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from holdfast.stats.caps import cap_p, rate_bounds

COUNTS = [(0, 100), (1, 100), (24, 160), (50, 100), (160, 160), (1, 1)]


@pytest.mark.parametrize(("bad", "n"), COUNTS)
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_bounds_are_those_of_statsmodels(bad: int, n: int, alpha: float) -> None:
    assert rate_bounds(bad, n, alpha) == pytest.approx(
        proportion_confint(bad, n, alpha=2 * alpha, method="beta"), abs=1e-12
    )


@pytest.mark.parametrize(
    ("n", "upper"), [(100, 0.0295), (200, 0.0149), (400, 0.0075), (1000, 0.003)]
)
def test_zero_events_still_have_an_upper_bound(n: int, upper: float) -> None:
    assert rate_bounds(0, n, 0.05) == (0.0, pytest.approx(upper, abs=5e-5))


@pytest.mark.parametrize(("bad", "n"), COUNTS)
def test_bounds_are_where_the_tests_turn(bad: int, n: int) -> None:
    low, high = rate_bounds(bad, n, 0.05)
    if high < 1:
        assert (
            cap_p(bad, n, high - 1e-6, side="pass") > 0.05 > cap_p(bad, n, high + 1e-6, side="pass")
        )
    if low > 0:
        assert (
            cap_p(bad, n, low + 1e-6, side="fail") > 0.05 > cap_p(bad, n, low - 1e-6, side="fail")
        )


@pytest.mark.parametrize("cap", [0.02, 0.1, 0.5])
def test_size_by_enumeration(cap: float) -> None:
    n = 60
    for side in ("pass", "fail"):
        shown = [bad for bad in range(n + 1) if cap_p(bad, n, cap, side=side) <= 0.05]
        assert sum(binom.pmf(bad, n, cap) for bad in shown) <= 0.05


def test_a_rate_near_its_cap_needs_room() -> None:
    """15 % of 160 items cannot be shown to be under 20 %, as the policy's guide says."""
    assert cap_p(24, 160, 0.20, side="pass") > 0.05


def test_no_items_show_nothing() -> None:
    assert rate_bounds(0, 0, 0.05) == (0.0, 1.0)
    assert cap_p(0, 0, 0.1, side="pass") == cap_p(0, 0, 0.1, side="fail") == 1.0


@pytest.mark.parametrize(("bad", "n", "cap"), [(5, 4, 0.1), (-1, 4, 0.1), (1, 4, 1.5)])
def test_impossible_counts_and_caps_are_refused(bad: int, n: int, cap: float) -> None:
    with pytest.raises(ValueError, match=r"count|cap"):
        cap_p(bad, n, cap, side="pass")


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.05, float("nan")])
def test_bounds_at_no_level_are_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        rate_bounds(1, 10, alpha)


@pytest.mark.parametrize("cap", [0.05, 0.2, 0.7])
def test_one_bad_item_more_never_helps_a_pass_and_never_hurts_a_fail(cap: float) -> None:
    passes, fails = (
        [cap_p(bad, 40, cap, side=side) for bad in range(41)] for side in ("pass", "fail")
    )
    assert passes == sorted(passes)
    assert fails == sorted(fails, reverse=True)
    assert passes[-1] == fails[0] == 1.0


def test_at_a_cap_of_nothing_or_of_everything_only_what_contradicts_it_is_shown() -> None:
    assert [cap_p(bad, 9, 0.0, side="fail") for bad in (0, 1)] == [1.0, 0.0]
    assert [cap_p(bad, 9, 1.0, side="pass") for bad in (9, 8)] == [1.0, 0.0]
