"""How good a compromise is: the published example, limit cases, and the geometry of a front."""

from math import hypot

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import TrainingFailed
from training.objectives.tradeoff import (
    hypervolume,
    ideal_distance,
    normalised_distance,
    optimality_gaps,
)

OPTIMA = (1.4980, 0.0522)
LOSSES = st.tuples(st.floats(0, 10), st.floats(0, 10))


def test_the_published_example() -> None:
    assert ideal_distance((1.70, 0.90), OPTIMA) == pytest.approx(0.87153, abs=1e-5)
    assert optimality_gaps((1.70, 0.90), OPTIMA) == pytest.approx((0.2020, 0.8478))


@given(LOSSES)
def test_no_distance_only_where_both_gaps_are_nought(losses: tuple[float, float]) -> None:
    assert ideal_distance(losses, losses) == 0
    assert (ideal_distance(losses, (0.0, 0.0)) == 0) == (hypot(*losses) == 0)


@given(LOSSES, st.floats(0.1, 5))
def test_scaling_both_losses_scales_the_distance(losses: tuple[float, float], scale: float) -> None:
    scaled = ideal_distance((losses[0] * scale, losses[1] * scale), (0.0, 0.0))
    assert scaled == pytest.approx(scale * ideal_distance(losses, (0.0, 0.0)))


def test_normalised_the_start_is_at_the_root_of_two_and_units_do_not_matter() -> None:
    initial = (2.5, 0.7)
    assert normalised_distance(initial, OPTIMA, initial) == pytest.approx(2**0.5)
    assert normalised_distance(OPTIMA, OPTIMA, initial) == 0
    point = (2.0, 0.3)
    in_bits = [(task, preference / 0.693) for task, preference in (point, OPTIMA, initial)]
    assert normalised_distance(*in_bits) == pytest.approx(
        normalised_distance(point, OPTIMA, initial)
    )


def test_a_start_that_is_at_its_optimum_has_no_distance_to_count_in() -> None:
    with pytest.raises(TrainingFailed, match="no worse than the optima"):
        normalised_distance((1.0, 1.0), OPTIMA, (1.0, 1.0))


def test_hypervolume() -> None:
    assert hypervolume([], (4, 4)) == 0
    assert hypervolume([(1, 1)], (4, 4)) == 9
    assert hypervolume([(1, 3), (3, 1)], (4, 4)) == 3 + 3 - 1
    assert hypervolume([(1, 3), (3, 1), (3, 3), (2, 3.5)], (4, 4)) == 5  # dominated adds nothing
    assert hypervolume([(1, 3), (3, 1), (5, 0)], (4, 4)) == 5  # nor does what is off the axis


@given(st.lists(LOSSES, max_size=6), LOSSES)
def test_another_point_never_takes_hypervolume_away(
    front: list[tuple[float, float]], more: tuple[float, float]
) -> None:
    assert hypervolume([*front, more], (8, 8)) >= hypervolume(front, (8, 8)) - 1e-12
