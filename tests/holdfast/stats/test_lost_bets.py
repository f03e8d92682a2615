"""The least capital: below that of every completion, wherever the lost numbers stand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.stats.betting import TRUNCATION, betting_p, log_capital
from holdfast.stats.lost_bets import (
    ROUNDING,
    _bets,
    _charge,
    _Moments,
    _moments,
    least_log_capital,
)
from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import FloatArray, Side

UNIT = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
ROW = st.lists(UNIT, min_size=1, max_size=40)


def least(x: Ranges, mean: float) -> FloatArray:
    means = np.array([[mean]])
    path = least_log_capital(x.low[None], x.high[None], means, TRUNCATION / means, ranges=x)
    return np.asarray(path[0, 0])


def exactly(x: FloatArray, unplaced: int = 0, floor: float = 0.0) -> Ranges:
    return Ranges(x, x, np.zeros(x.size, dtype=np.int64), unplaced, floor, 1.0)


@settings(max_examples=40, deadline=None)
@given(ROW, st.floats(0.01, 0.99))
def test_where_nothing_is_lost_it_is_the_capital(row: list[float], mean: float) -> None:
    x = np.array(row)
    path = log_capital(x, mean, side="fail")
    np.testing.assert_allclose(least(exactly(x), mean), path - ROUNDING, atol=1e-10)


@settings(max_examples=150, deadline=None)
@given(ROW, st.floats(0.01, 0.99), st.randoms(use_true_random=False))
def test_no_values_in_the_ranges_come_to_less(
    row: list[float], mean: float, random: object
) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    x = np.array(row)
    lost = rng.random(x.size) < 0.2
    low, high = np.where(lost, x * rng.random(), x), np.where(lost, x + (1 - x) * rng.random(), x)
    bound = least(Ranges(low, high, np.zeros(x.size, dtype=np.int64)), mean)
    for _ in range(20):
        part = rng.random(x.size) if rng.random() < 0.5 else rng.integers(0, 2, x.size)
        assert (log_capital(low + part * (high - low), mean, side="fail") >= bound).all()


def put_somewhere(
    rng: np.random.Generator, x: FloatArray, extra: FloatArray
) -> tuple[FloatArray, list[int]]:
    """The numbers with each of `extra` alone or averaged into one, and the places of the first."""
    numbers, sizes = list(x), [int(rng.integers(1, 4)) for _ in x]
    for value in extra:
        at = int(rng.integers(0, len(numbers)))
        if rng.random() < 0.5 or sizes[at] == 0:
            numbers.insert(at, float(value))
            sizes.insert(at, 0)  # of the extra ones, each stands alone
        else:
            numbers[at] = (numbers[at] * sizes[at] + value) / (sizes[at] + 1)
            sizes[at] += 1
    return np.clip(numbers, 0.0, 1.0), [at for at, size in enumerate(sizes) if size]


@settings(max_examples=200, deadline=None)
@given(
    ROW,
    st.floats(0.01, 0.99),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from(["pass", "fail"]),
    st.integers(0, 2**32 - 1),
)
def test_wherever_the_unplaced_ones_stand_p_is_no_larger(
    row: list[float], mean: float, unplaced: int, floor: float, side: Side, seed: int
) -> None:
    rng, x = np.random.default_rng(seed), np.array(row)
    bound = betting_p(exactly(x, unplaced, floor), mean, side=side)
    for _ in range(20):
        extra = np.where(rng.random(unplaced) < 0.5, floor, rng.uniform(floor, 1.0, unplaced))
        assert betting_p(put_somewhere(rng, x, extra)[0], mean, side=side) <= bound


def running(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mean and the variance before each number, by their definition."""
    means, squares = [0.5], [0.25]
    for count, value in enumerate(x, start=1):
        means.append((0.5 + x[:count].sum()) / (count + 1))
        squares.append(squares[-1] + (value - means[-1]) ** 2)
    return np.array(means[:-1]), np.array(squares[:-1]) / np.arange(1, x.size + 1)


@settings(max_examples=150, deadline=None)
@given(ROW, st.integers(0, 4), st.sampled_from([0.0, 0.5]), st.integers(0, 2**32 - 1))
def test_running_means_and_variances_lie_within_their_bounds(
    row: list[float], unplaced: int, floor: float, seed: int
) -> None:
    rng, x = np.random.default_rng(seed), np.array(row)
    lost = rng.random(x.size) < 0.2
    low, high = np.where(lost, x * rng.random(), x), np.where(lost, x + (1 - x) * rng.random(), x)
    bounds = _moments(low[None], high[None], exactly(x, unplaced, floor))
    for _ in range(20):
        y = low + rng.choice([0.0, 1.0, rng.random()]) * (high - low)
        extra = rng.choice([floor, 1.0, rng.uniform(floor, 1.0)], unplaced)
        numbers, places = put_somewhere(rng, y, extra)
        mean, variance = (series[places] for series in running(numbers))
        assert (bounds.mean_low[0] <= mean + 1e-12).all()
        assert (bounds.mean_high[0] >= mean - 1e-12).all()
        assert (bounds.variance_low[0] <= variance + 1e-12).all()
        assert (bounds.variance_high[0] >= variance - 1e-12).all()


@settings(max_examples=100, deadline=None)
@given(*[st.floats(0.001, 0.999)] * 4, st.floats(0.01, 0.99))
def test_bets_lie_between_the_smallest_and_the_largest_which_some_moments_reach(
    mean_low: float, mean_high: float, variance_low: float, variance_high: float, mean: float
) -> None:
    ends = sorted((mean_low, mean_high)), sorted((variance_low, variance_high))
    moments = _Moments(*(np.array([[end]]) for pair in ends for end in pair))
    largest_bet = np.array([[TRUNCATION / mean]])
    smallest, largest = (
        float(bet[0, 0, 0]) for bet in _bets(moments, np.array([[mean]]), largest_bet)
    )
    edge = np.linspace(*ends[0], 201)[:, None] - mean
    bets = np.clip(edge / (np.linspace(*ends[1], 5) + edge**2), 0.0, TRUNCATION / mean)
    assert smallest <= bets.min() + 1e-12
    assert bets.max() - 1e-12 <= largest
    np.testing.assert_allclose((smallest, largest), (bets.min(), bets.max()), rtol=0.02, atol=0.01)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(0, 1), UNIT, st.sampled_from([0.0, 0.5]), st.integers(1, 5))
def test_the_charge_is_what_an_unplaced_number_takes_at_most(
    mean: float, share: float, x: float, floor: float, size: int
) -> None:
    largest = np.array(share * TRUNCATION / mean)
    charge = float(_charge(largest, np.array(mean), floor))
    for bet in (0.0, float(largest) / 2, float(largest)):
        assert charge >= -np.log1p(bet * (floor - mean)) - 1e-12
        moved = (x * size + floor) / (size + 1)
        assert charge >= np.log1p(bet * (x - mean)) - np.log1p(bet * (moved - mean)) - 1e-12


def test_an_unplaced_number_costs_what_it_may_lose_and_never_pays() -> None:
    x = np.full(100, 0.5)
    quiet = betting_p(x, 0.55, side="pass")
    ps = [betting_p(exactly(x, unplaced), 0.55, side="pass") for unplaced in range(4)]
    assert ps[0] == quiet
    assert ps == sorted(ps)
    assert ps[1] > 1.6 * quiet
    assert np.isfinite(least(exactly(np.ones(20), 3), 0.001)).all()


def test_an_unplaced_number_is_charged_at_the_highest_bet_and_not_at_the_first() -> None:
    """Where all is quiet the bet grows to the most that is allowed, which then loses half."""
    quiet, mean = exactly(np.full(400, 0.2), 1), np.array([[0.1]])
    moments = _moments(quiet.low[None], quiet.high[None], quiet)
    smallest, largest = _bets(moments, mean, TRUNCATION / mean)
    wins = np.cumsum(np.log1p(smallest * 0.1))
    assert largest[0, 0, 0] < largest.max() == 5.0
    assert wins[-1] - least(quiet, 0.1)[-1] == pytest.approx(np.log(2), abs=1e-6)
