"""The risk of rows, against distributions whose posterior is known."""

import math

import numpy as np
import pytest

from training.passes.risk import LEAST_VARIANCE, risk_scale

ROWS, HIDDEN = 4000, 3


def cloud(mean: list[float], spread: float, seed: int) -> np.ndarray:
    """Prompts around a mean, in a second layer of two; the first is noise alike for all."""
    noise = np.random.default_rng(seed).normal(size=(ROWS, 2, HIDDEN))
    noise[:, 1] = np.array(mean) + spread * noise[:, 1]
    return noise


def test_the_posterior_of_two_normal_distributions_is_found() -> None:
    scale = risk_scale(cloud([0, 0, 0], 0.5, 1), cloud([2, 0, 0], 0.5, 2))
    assert scale.direction is not None
    assert scale.direction.layer == 1
    asked = np.zeros((5, 2, HIDDEN))
    places = [0.0, 0.75, 1.0, 1.25, 2.0]
    asked[:, 1, 0] = places
    true = [1 / (1 + math.exp(-2 * (place - 1) / 0.25)) for place in places]
    assert scale.risk(asked) == pytest.approx(true, abs=0.03)


def test_of_two_overlapping_kinds_as_many_are_mistaken_as_must_be() -> None:
    """Means three deviations apart: the better half of a posterior errs in 6.68 % of cases."""
    answered, refused = cloud([0, 0, 0], 1.0, 3), cloud([0, 3, 0], 1.0, 4)
    scale = risk_scale(answered, refused)
    wrong = sum(risk > 0.5 for risk in scale.risk(answered))
    wrong += sum(risk < 0.5 for risk in scale.risk(refused))
    assert wrong / (2 * ROWS) == pytest.approx(0.0668, abs=0.01)


def test_prompts_that_are_all_alike_are_as_risky_as_not() -> None:
    same = np.ones((4, 2, HIDDEN))
    assert risk_scale(same, same).risk(same) == [0.5] * 4


def test_kinds_without_any_spread_are_told_apart_and_no_number_overflows() -> None:
    scale = risk_scale(np.zeros((2, 1, 1)), np.ones((2, 1, 1)))
    assert scale.variance == LEAST_VARIANCE
    assert scale.risk(np.array([[[-1e6]], [[0.0]], [[1.0]], [[1e6]]])) == [0.0, 0.0, 1.0, 1.0]
