"""The risk of rows, against distributions whose posterior is known."""

import math

import pytest
import torch

from training.passes.risk import RiskScale, logistic, risk_scale

ROWS, HIDDEN = 4000, 3


def cloud(mean: list[float], spread: float, seed: int) -> torch.Tensor:
    """Prompts around a mean, in a second layer of two; the first is noise alike for all."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(ROWS, 2, HIDDEN, generator=generator)
    noise[:, 1] = torch.tensor(mean) + spread * noise[:, 1]
    return noise


def test_the_posterior_of_two_normal_distributions_is_found() -> None:
    scale = risk_scale(cloud([0, 0, 0], 0.5, 1), cloud([2, 0, 0], 0.5, 2))
    assert scale.layer == 1
    assert scale.direction.tolist() == pytest.approx([1, 0, 0], abs=0.05)
    asked = torch.zeros(5, 2, HIDDEN)
    places = [0.0, 0.75, 1.0, 1.25, 2.0]
    asked[:, 1, 0] = torch.tensor(places)
    true = [1 / (1 + math.exp(-2 * (place - 1) / 0.25)) for place in places]
    assert scale.risk(asked) == pytest.approx(true, abs=0.03)


def test_prompts_that_are_all_alike_are_as_risky_as_not() -> None:
    same = torch.ones(4, 2, HIDDEN)
    assert risk_scale(same, same).risk(same) == [0.5] * 4


def test_far_away_is_no_overflow() -> None:
    scale = RiskScale(0, torch.tensor([1.0]), 0.0, 1.0, 1e-6)
    assert scale.risk(torch.tensor([[[-1e6]], [[1e6]]])) == [0.0, 1.0]
    assert logistic(0) == 0.5
