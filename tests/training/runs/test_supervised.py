"""A step's supervised loss: its three reductions when it is cut, and recipes that do as told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from torch import nn

from holdfast.repairs.plan import Plan, Reduction
from training.progress import Report
from training.recipes import RECIPES
from training.rows.batches import Example
from training.runs.supervised import learn
from training.weights.model import load_policy

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
LENGTHS = [(3, 9), (1, 20), (12, 13), (5, 30), (2, 4), (8, 16)]
EXAMPLES = [
    Example(tuple(range(10 + k, 10 + k + whole)), prompt)
    for k, (prompt, whole) in enumerate(LENGTHS)
]
TOKENS = sum(example.completion_tokens for example in EXAMPLES)


@pytest.fixture
def policy(baseline: Path) -> nn.Module:
    return load_policy(baseline).double()


@pytest.mark.parametrize("reduction", get_args(Reduction))
def test_only_the_mean_of_means_hangs_on_how_a_step_is_cut(
    policy: nn.Module, reduction: Reduction
) -> None:
    whole, cut, single = (
        learn(policy, EXAMPLES, 2, rows, reduction=reduction)["loss"] for rows in (6, 2, 1)
    )
    if reduction == "token_mean_batch":
        assert abs(cut - whole) > 1e-3
        assert abs(single - cut) > 1e-3
    else:
        assert (cut, single) == pytest.approx((whole, whole), rel=1e-6)


def test_nats_a_row_and_nats_a_token_count_the_same_nats(policy: nn.Module) -> None:
    a_token, a_row = (
        learn(policy, EXAMPLES, 2, 4, reduction=reduction)["loss"]
        for reduction in ("token_mean_global", "seq_sum_mean")
    )
    assert a_row * len(EXAMPLES) == pytest.approx(a_token * TOKENS, rel=1e-6)


@pytest.mark.parametrize(
    "recipe",
    [
        "finetune",
        "rehearsal",
        "reorder",
        "sma",
        "kd",
        "kl_anchor",
        "l2_anchor",
        "safe_gradient",
        "oneshot",
    ],
)
def test_the_reduction_of_a_plan_is_the_one_that_is_trained(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events, recipe: str
) -> None:
    told = {"steps": 1, "anchor": {"rows": 4, "bound": 9.0}}
    for reduction in ("token_mean_global", "seq_sum_mean"):
        plan = plan_of(recipe, reduction=reduction, output=tmp_path / reduction, **told)
        RECIPES[plan.recipe](plan, report)
    a_token, a_row = (event for event in events if event["event"] == "step")
    rows = a_token["loss"] * a_token["tokens"] / a_row["loss"]
    assert a_token["tokens"] == a_row["tokens"]
    assert 1 <= round(rows) <= 8
    assert rows == pytest.approx(round(rows), rel=1e-3)
