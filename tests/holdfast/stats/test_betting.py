"""The betting test: false alarms at the boundary of the null, coverage, extremes of the data."""

from dataclasses import replace
from itertools import product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.stats.betting import betting_bound, betting_p, log_capital, log_peak
from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import FloatArray, Side

RUNS = 4000
NULLS = {  # name: (mean, draw(rng, shape))
    "coin": (0.5, lambda rng, shape: (rng.random(shape) < 0.5).astype(float)),
    "rare": (0.05, lambda rng, shape: (rng.random(shape) < 0.05).astype(float)),
    "uniform": (0.5, lambda rng, shape: rng.random(shape)),
    "quiet flips": (0.525, lambda rng, shape: 0.5 + 0.5 * (rng.random(shape) < 0.05)),
    "changing": (
        0.5,
        lambda rng, shape: 0.5 + (rng.random(shape) - 0.5) * np.linspace(0.05, 1, shape[-1]) ** 2,
    ),
}


def by_hand(x: FloatArray, mean: float, side: Side) -> float:
    """The definition, one number at a time, in plain floats."""
    total, spread, capital, peak = 0.0, 0.0, 1.0, 1.0
    m, v = 0.5, 0.25
    for t, value in enumerate(x, start=1):
        kelly = (m - mean) / (v + (m - mean) ** 2)
        if side == "fail":
            bet = min(max(kelly, 0.0), 0.5 / mean)
        else:
            bet = max(min(kelly, 0.0), -0.5 / (1 - mean))
        capital *= 1 + bet * (value - mean)
        peak = max(peak, capital)
        total += value
        m = (0.5 + total) / (t + 1)
        spread += (value - m) ** 2
        v = (0.25 + spread) / (t + 1)
    return min(1.0, 1 / peak)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1), max_size=60),
    st.floats(0.01, 0.99),
    st.sampled_from(["pass", "fail"]),
)
def test_p_is_what_the_definition_says(numbers: list[float], mean: float, side: Side) -> None:
    x = np.array(numbers, dtype=float)
    assert betting_p(x, mean, side=side) == pytest.approx(by_hand(x, mean, side), rel=1e-9)


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("side", ["pass", "fail"])
def test_false_alarms_at_the_boundary_however_long_one_looks(name: str, side: Side) -> None:
    mean, draw = NULLS[name]
    x = draw(np.random.default_rng(11), (RUNS, 400))
    alarms = (log_capital(x, mean, side=side).max(axis=-1) >= np.log(20)).mean()
    assert alarms <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


def test_no_overflow_and_no_underflow_at_a_hundred_thousand() -> None:
    x = np.ones(100_000)
    assert betting_p(x, 0.1, side="fail") == 0.0
    assert betting_p(x, 0.1, side="pass") == 1.0
    assert np.isfinite(log_capital(x, 0.1, side="fail")).all()
    assert 0.99 < betting_bound(x[:4000], 0.05, side="lower") < 1.0


@pytest.mark.parametrize(("mean", "side"), [(0.0, "pass"), (1.0, "fail")])
def test_what_is_always_true_is_never_refuted(mean: float, side: Side) -> None:
    assert betting_p(np.random.default_rng(0).random(500), mean, side=side) == 1.0


def test_quiet_clusters_are_not_a_proof_at_once() -> None:
    """Nothing flipped: a bootstrap would be certain, the bet wants more than 20 clusters."""
    quiet = np.full(200, 0.5)
    assert betting_p(quiet[:20], 0.55, side="pass") > 0.05
    assert betting_p(quiet, 0.55, side="pass") < 0.001


def test_no_numbers_show_nothing() -> None:
    none = np.array([], dtype=float)
    assert betting_p(none, 0.5, side="pass") == betting_p(none, 0.5, side="fail") == 1.0
    assert betting_bound(none, 0.05, side="upper") == 1.0
    assert betting_bound(none, 0.05, side="lower") == 0.0


def test_a_stopped_run_keeps_its_answer() -> None:
    """The running maximum: what was once shown stands, whatever comes after."""
    rng = np.random.default_rng(5)
    shown = (rng.random(200) < 0.9).astype(float)
    after = np.concatenate([shown, np.zeros(200)])
    assert betting_p(after, 0.5, side="fail") <= betting_p(shown, 0.5, side="fail") < 0.01


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.sampled_from([0.025, 0.05, 0.2]))
def test_bounds_invert_the_tests(numbers: list[float], alpha: float) -> None:
    x = np.array(numbers)
    upper, lower = betting_bound(x, alpha, side="upper"), betting_bound(x, alpha, side="lower")
    assert 0 <= lower <= x.mean() <= upper <= 1
    beyond = np.linspace(upper, 1, 20)[1:]
    if upper < 1:
        assert (np.exp(-log_peak(x, beyond, side="pass")) <= alpha).all()
        assert betting_p(x, max(0.0, upper - 1e-6), side="pass") > alpha
    if lower > 0:
        assert betting_p(x, max(0.0, lower - 1e-6), side="fail") <= alpha
        assert betting_p(x, min(1.0, lower + 1e-6), side="fail") > alpha


@pytest.mark.parametrize("name", NULLS)
def test_bounds_cover(name: str) -> None:
    mean, draw = NULLS[name]
    rows = draw(np.random.default_rng(3), (200, 100))
    missed = sum(betting_bound(x, 0.05, side="upper") < mean for x in rows)
    missed += sum(betting_bound(x, 0.05, side="lower") > mean for x in rows)
    assert missed <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


@pytest.mark.parametrize("x", [[0.5, np.nan], [0.5, 1.1], [-0.1], [[0.5, 0.5]]])
def test_what_is_not_a_row_of_unit_numbers_is_refused(x: list[float]) -> None:
    with pytest.raises(ValueError, match="one row of numbers"):
        betting_p(np.array(x), 0.5, side="pass")


@pytest.mark.parametrize("alpha", [0.0, 1.0, np.nan])
def test_an_alpha_that_is_no_level_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        betting_bound(np.array([0.5]), alpha, side="upper")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_the_two_questions_mirror_each_other(numbers: list[float], mean: float) -> None:
    x = np.array(numbers)
    mirrored = betting_p(1 - x, 1 - mean, side="fail")
    assert betting_p(x, mean, side="pass") == pytest.approx(mirrored, rel=1e-9)


@pytest.mark.parametrize("mean", [-0.01, 1.01, np.nan])
def test_a_mean_outside_of_the_scale_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match="mean"):
        betting_p(np.array([0.5]), mean, side="pass")


def test_many_means_at_once_are_those_one_by_one() -> None:
    x = np.random.default_rng(8).random(3_000)
    means = np.linspace(0.3, 0.7, 401)  # more numbers than are held at once
    together = log_peak(x, means, side="fail")
    alone = [float(log_peak(x, means[at : at + 1], side="fail")[0]) for at in (0, 200, 333, 400)]
    assert together[[0, 200, 333, 400]] == pytest.approx(alone)
    assert together.shape == (401,)


def with_lost(x: FloatArray, places: set[int], steps: int, low: float = 0.0) -> Ranges:
    """x without the numbers at these places, each of which may be anything from low to 1."""
    lost = np.isin(np.arange(x.size), list(places))
    ends = np.where(lost, low, x), np.where(lost, 1.0, x)
    return Ranges(*ends, np.full(x.size, steps))


UNIT = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
LOSSES = st.sets(st.integers(0, 59), min_size=1, max_size=5)


@settings(max_examples=80, deadline=None)
@given(st.lists(UNIT, min_size=1, max_size=60), LOSSES, st.floats(0.01, 0.99), st.data())
def test_losing_numbers_never_lowers_p(
    numbers: list[float], places: set[int], mean: float, data: st.DataObject
) -> None:
    """p of the numbers that were lost, and of any others that may have stood there."""
    x, side = np.array(numbers), data.draw(st.sampled_from(["pass", "fail"]))
    lossy = with_lost(x, places, steps=0)
    p = betting_p(lossy, mean, side=side)
    shares = data.draw(st.lists(UNIT, min_size=x.size, max_size=x.size))
    for y in (x, lossy.low + np.array(shares) * (lossy.high - lossy.low)):
        assert betting_p(y, mean, side=side) <= p
    assert betting_p(with_lost(x, set(sorted(places)[1:]), steps=0), mean, side=side) <= p


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=60),
    LOSSES,
    st.floats(0.01, 0.99),
    st.sampled_from(["pass", "fail"]),
)
def test_p_of_a_few_lost_flips_is_the_largest_of_all_that_they_may_have_been(
    numbers: list[float], places: set[int], mean: float, side: Side
) -> None:
    x = np.array(numbers)
    lost = sorted(at for at in places if at < x.size)
    ps = []
    for values in product((0.5, 1.0), repeat=len(lost)):
        x[lost] = values
        ps.append(betting_p(x, mean, side=side))
    assert betting_p(with_lost(x, places, steps=1, low=0.5), mean, side=side) == max(ps)


def test_a_bad_number_early_can_lower_p_and_a_lost_one_cannot() -> None:
    """Later bets follow earlier numbers: the bad one lowers those that the twelve others lose."""
    n, better = 194, (51, 53, 109, 110, 115, 118, 121)
    worse = (5, 16, 30, 40, 48, 56, 77, 83, 105, 132, 157, 175)
    x = np.full(n, 0.5)
    x[list(better)], x[list(worse)] = 0.0, 1.0
    as_bad = np.concatenate([[1.0], x[1:]])
    assert betting_p(x, 0.55, side="pass") == pytest.approx(0.0578165814)
    assert betting_p(as_bad, 0.55, side="pass") == pytest.approx(0.0292342998)
    for steps, low in ((1, 0.5), (2, 0.0), (0, 0.0)):
        assert betting_p(with_lost(x, {0}, steps, low), 0.55, side="pass") > 0.0578


@settings(max_examples=15, deadline=None)
@given(st.lists(UNIT, min_size=1, max_size=60), LOSSES, st.sampled_from([0, 1]))
def test_a_bound_gets_no_narrower_by_losing_numbers(
    numbers: list[float], places: set[int], steps: int
) -> None:
    x = np.array(numbers)
    x[[at for at in places if at < x.size]] = 1.0
    lossy = with_lost(x, places, steps)
    assert betting_bound(lossy, 0.05, side="upper") >= betting_bound(x, 0.05, side="upper")
    assert betting_bound(lossy, 0.05, side="lower") <= betting_bound(x, 0.05, side="lower")


@pytest.mark.parametrize("side", ["upper", "lower"])
@pytest.mark.parametrize(("steps", "unplaced"), [(0, 0), (1, 0), (2, 1)])
def test_the_bound_of_lost_numbers_inverts_their_p(
    side: Literal["upper", "lower"], steps: int, unplaced: int
) -> None:
    rng = np.random.default_rng(steps)
    for _ in range(4):
        x = (rng.choice([1, 0, -1], 90, p=[0.1, 0.8, 0.1]) + 1) / 2
        lossy = replace(with_lost(x, {3, 40, 77}, steps), unplaced=unplaced)
        end = betting_bound(lossy, 0.05, side=side)
        asked: Side = "pass" if side == "upper" else "fail"
        outwards = 1e-6 if side == "upper" else -1e-6
        assert betting_p(lossy, end, side=asked) <= 0.05
        assert betting_p(lossy, end - outwards, side=asked) > 0.05


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 1), st.sampled_from(["pass", "fail"]))
def test_where_nothing_is_lost_p_and_bounds_are_the_same_to_the_last_bit(
    numbers: list[float], mean: float, side: Side
) -> None:
    x = np.array(numbers, dtype=float)
    certain = with_lost(x, set(), steps=0)
    assert betting_p(certain, mean, side=side) == betting_p(x, mean, side=side)
    ends = [
        [betting_bound(of, 0.05, side=end) for of in (x, certain)] for end in ("lower", "upper")
    ]
    assert all(plain == ranged for plain, ranged in ends)


@pytest.mark.parametrize(("low", "high"), [(0.1, 1.1), (0.1, np.nan), (-0.1, 0.5)])
def test_ranges_that_leave_the_scale_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="one row of numbers"):
        betting_p(Ranges(np.array([low]), np.array([high]), np.array([0])), 0.5, side="pass")
