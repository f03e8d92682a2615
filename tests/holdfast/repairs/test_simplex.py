"""Ratios with a fixed mean: the constraint holds whatever goes in, and equal stays equal."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.repairs.simplex import project

MEANS = st.floats(0, 1)
VALUES = st.lists(st.floats(-5, 5), min_size=1, max_size=9)


@given(values=VALUES, mean=MEANS)
def test_a_projection_has_the_mean_and_stays_within_bounds(
    values: list[float], mean: float
) -> None:
    ratios = project(values, mean)
    assert isclose(sum(ratios) / len(ratios), mean, abs_tol=1e-6)
    assert all(0 <= ratio <= 1 for ratio in ratios)


@given(values=VALUES, mean=MEANS)
def test_a_ratio_at_a_bound_is_the_bound(values: list[float], mean: float) -> None:
    """A ratio of 6e-17 is no end that an average copies, and nothing that rounding can keep."""
    for ratio in project(values, mean):
        assert ratio in {0.0, 1.0} or 1e-12 <= ratio <= 1 - 1e-12


def test_a_group_that_gets_nothing_gets_nothing() -> None:
    assert project((0.478, -0.1, 0.622), 0.4)[1] == 0.0
    assert project((0.578, 5.6e-17, 0.622), 0.4)[1] == 0.0


@given(values=VALUES, mean=MEANS)
def test_a_projection_projected_is_itself(values: list[float], mean: float) -> None:
    ratios = project(values, mean)
    assert project(ratios, mean) == pytest.approx(ratios, abs=1e-9)


@given(values=VALUES, mean=MEANS, others=VALUES)
def test_no_other_point_of_the_set_is_nearer(
    values: list[float], mean: float, others: list[float]
) -> None:
    other = project([*others, *values][: len(values)], mean)
    nearest = project(values, mean)

    def distance(point: tuple[float, ...]) -> float:
        return sum((a - b) ** 2 for a, b in zip(point, values, strict=True))

    assert distance(nearest) <= distance(other) + 1e-9


@pytest.mark.parametrize("mean", [-0.1, 1.1])
def test_a_mean_outside_the_bounds_is_an_error(mean: float) -> None:
    with pytest.raises(ValueError, match="has no ratios"):
        project([0.5, 0.5], mean)
