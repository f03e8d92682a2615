"""The search of ratios on the gate: it stays on the set, ends, and ends near the optimum."""

from math import inf
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ladder.ratio_search import STEPS, Ratios, around, next_ratios, same
from holdfast.repairs.simplex import project

UNIT = st.floats(0.0, 1.0)


def searched(start: Ratios, optimum: Ratios) -> dict[Ratios, float]:
    """Everything that was asked, with its distance from the optimum, until the search ends."""

    def off(ratios: Ratios) -> float:
        return sum((one - two) ** 2 for one, two in zip(ratios, optimum, strict=True)) ** 0.5

    tried = {start: off(start)}
    while (ratios := next_ratios(tried)) is not None:
        tried[ratios] = off(ratios)
        assert len(tried) < 200
    return tried


@settings(max_examples=30, deadline=None)
@given(st.lists(UNIT, min_size=3, max_size=4), st.floats(0.1, 0.9))
def test_it_ends_within_the_last_step_of_a_known_optimum_with_the_mean_kept(
    wanted: list[float], mean: float
) -> None:
    optimum = project(wanted, mean)
    tried = searched((mean,) * len(wanted), optimum)
    best = min(tried, key=lambda ratios: tried[ratios])
    assert all(fmean(ratios) == pytest.approx(mean, abs=1e-9) for ratios in tried)
    assert all(0 <= ratio <= 1 for ratios in tried for ratio in ratios)
    assert max(abs(one - two) for one, two in zip(best, optimum, strict=True)) <= STEPS[-1]


def test_nothing_is_asked_twice() -> None:
    tried = list(searched((0.4, 0.4, 0.4), (0.1, 0.4, 0.7)))
    assert not any(same(one, two) for at, one in enumerate(tried) for two in tried[:at])


def test_the_best_so_far_is_looked_around_first() -> None:
    known = {(0.4, 0.4, 0.4): 0.5, (0.6, 0.4, 0.2): 0.3}
    following = next_ratios(known)
    assert following is not None
    assert any(same(following, side) for side in around((0.6, 0.4, 0.2), STEPS[0]))


@pytest.mark.parametrize("tried", [{}, {(0.4, 0.4, 0.4): inf}])
def test_without_anything_near_there_is_nothing_to_search(tried: dict[Ratios, float]) -> None:
    assert next_ratios(tried) is None


def test_two_numbers_of_groups_are_two_models() -> None:
    assert not same((0.4, 0.4), (0.4, 0.4, 0.4))
