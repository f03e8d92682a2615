"""The way back to the baseline: the largest share within the bound, on weights as they are kept."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.repairs.plan import Plan
from training.weights.model import load_policy
from training.weights.projection import largest_weight, line_to

RISE = 1 / 640  # what six halvings of a tenth leave


@pytest.mark.parametrize(
    ("distance", "bound", "expected"),
    [
        (lambda w: w, 2.0, 1.0),
        (lambda w: w, 0.5, 0.5),
        (lambda w: w * w, 0.3, 0.3**0.5),
        (lambda w: w, 0.03, 0.03),
        (lambda w: 1.0, 0.5, 0.0),
        (lambda w: 0.1 if 0.55 < w < 0.75 else w, 0.3, 0.75),  # not monotone: the far side counts
    ],
)
def test_the_largest_weight_within_the_bound(
    distance: Callable[[float], float], bound: float, expected: float
) -> None:
    found = largest_weight(distance, bound)
    assert expected - RISE <= found <= expected
    assert found == 0 or distance(found) <= bound


@given(st.lists(st.floats(0, 2), min_size=11, max_size=11), st.floats(0.01, 1))
def test_whatever_the_line_looks_like(heights: list[float], bound: float) -> None:
    def distance(weight: float) -> float:
        return heights[round(10 * weight)]

    found = largest_weight(distance, bound)
    assert found == 0 or distance(found) <= bound
    best = max((k for k in range(1, 11) if heights[k] <= bound), default=0) / 10
    assert found >= best


def test_the_line_runs_from_baseline_to_policy_in_the_stored_dtype(
    plan_of: Callable[..., Plan], baseline: Path, candidate: Path
) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    policy, start = load_policy(candidate), load_policy(baseline).state_dict()
    own = policy.state_dict()[name].clone()
    own += 1e-4  # off bf16's grid
    policy.state_dict()[name].copy_(own)
    place = line_to(policy, start, plan_of("kl_anchor"))
    for weight in (1.0, 0.0, 0.5, 1.0):
        place(weight)
        expected = torch.lerp(start[name], own, weight).bfloat16().float()
        assert torch.equal(policy.state_dict()[name], expected)
    policy.state_dict()[name].copy_(own)
    line_to(policy, start, plan_of("kl_anchor", store="fp32"))(0.5)
    assert torch.equal(policy.state_dict()[name], torch.lerp(start[name], own, 0.5))
