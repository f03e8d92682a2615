"""Ratios with a fixed mean: the constraint holds whatever goes in, and equal stays equal."""

from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.repairs.simplex import grid, project, ratios_of

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


@given(scores=VALUES, mean=MEANS, floor=st.floats(0, 2))
def test_scores_keep_mean_bounds_and_order(scores: list[float], mean: float, floor: float) -> None:
    ratios = ratios_of(scores, mean, floor)
    assert isclose(sum(ratios) / len(ratios), mean, abs_tol=1e-6)
    assert all(0 <= ratio <= 1 for ratio in ratios)
    by_score = [ratio for _, ratio in sorted(zip(scores, ratios, strict=True))]
    assert all(a <= b + 1e-9 for a, b in pairwise(by_score))


@given(score=st.floats(-9, 9), groups=st.integers(1, 9), mean=MEANS, floor=st.floats(0, 2))
def test_one_group_or_equal_scores_are_a_plain_average(
    score: float, groups: int, mean: float, floor: float
) -> None:
    assert ratios_of([score] * groups, mean, floor) == pytest.approx([mean] * groups, abs=1e-9)


def test_the_worked_example() -> None:
    ratios = ratios_of((-1.2, 0.3, 2.0), 0.2, 0.2)
    assert ratios == pytest.approx((0.113213, 0.203202, 0.283585), abs=1e-6)


@pytest.mark.parametrize(
    ("groups", "floor", "low", "high"),
    [(3, 1.0, 0.6, 1.5), (3, 0.2, 0.2308, 2.25), (3, 0.0, 0.0, 3.0), (26, 0.2, 0.1722, 5.0323)],
)
def test_how_far_a_floor_lets_a_group_go(
    groups: int, floor: float, low: float, high: float
) -> None:
    mean = 0.1
    assert ratios_of([-40.0] + [40.0] * (groups - 1), mean, floor)[0] == pytest.approx(
        low * mean, abs=1e-5
    )
    assert ratios_of([40.0] + [-40.0] * (groups - 1), mean, floor)[0] == pytest.approx(
        high * mean, abs=1e-5
    )


@pytest.mark.parametrize("mean", [-0.1, 1.1])
def test_a_mean_outside_the_bounds_is_an_error(mean: float) -> None:
    with pytest.raises(ValueError, match="has no ratios"):
        project([0.5, 0.5], mean)


@pytest.mark.parametrize(("groups", "points"), [(1, 1), (2, 3), (3, 7), (4, 19)])
def test_a_grid_begins_with_the_uniform_point(groups: int, points: int) -> None:
    found = grid(groups, 0.7, 0.2)
    assert found[0] == (0.7,) * groups
    assert len(found) == points
    assert all(sum(point) == pytest.approx(0.7 * groups) for point in found)
