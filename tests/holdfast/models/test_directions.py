"""Directions between sets of activations: planted ones are found, and no difference is none."""

import numpy as np
import pytest

from holdfast.models.directions import direction_between

RANDOM = np.random.default_rng(7)
WIDTH = 12


def noise(rows: int, layers: int) -> np.ndarray:
    return RANDOM.normal(size=(rows, layers, WIDTH))


def test_the_planted_direction_is_found_in_its_layer() -> None:
    planted = np.eye(WIDTH)[3]
    toward, away = noise(40, 4), noise(50, 4)
    toward[:, 2] += 6 * planted
    found = direction_between(toward, away)
    assert found is not None
    assert found.layer == 2
    assert found.vector @ planted > 0.97
    assert np.linalg.norm(found.vector) == pytest.approx(1)
    assert 0.7 < found.separation < 1


def test_along_it_the_two_means_lie_at_one_and_nought() -> None:
    toward, away = noise(30, 1) + 1.5, noise(30, 1)
    found = direction_between(toward, away)
    assert found is not None
    assert found.along(toward[:, 0]).mean() == pytest.approx(1)
    assert found.along(away[:, 0]).mean() == pytest.approx(0)


def test_separation_is_the_share_of_variance_between_two_sets_by_hand() -> None:
    """One coordinate: -1, 1 against 3, 5 has the means 0 and 4, so 16 of 20 lie between them."""
    away, toward = np.array([-1.0, 1.0]), np.array([3.0, 5.0])
    found = direction_between(toward[:, None, None], away[:, None, None])
    assert found is not None
    assert found.separation == pytest.approx(16 / 20)
    assert (found.gap, found.origin) == (pytest.approx(4), pytest.approx(0))


def test_every_coordinate_counts_in_its_own_spread() -> None:
    """Residual streams have a few coordinates a hundred times the others; they do not drown them.

    By hand: in units of their spreads, sqrt(5) and sqrt(10004), the four rows lie at -2.361, .533,
    -.533 and 2.361 along the diagonal, and .285 of that variance is between the sets.
    """
    away = np.array([(-1.0, -100.0), (1.0, 100.0)])
    toward = np.array([(3.0, -96.0), (5.0, 104.0)])
    found = direction_between(toward[:, None], away[:, None])
    assert found is not None
    assert found.vector == pytest.approx([0.5**0.5] * 2)
    assert found.separation == pytest.approx(0.285, abs=1e-3)


def test_what_does_not_differ_or_is_no_number_has_no_direction() -> None:
    same = noise(5, 2)
    assert direction_between(same, same) is None
    broken = same.copy()
    broken[0] = np.nan
    assert direction_between(broken, same) is None
