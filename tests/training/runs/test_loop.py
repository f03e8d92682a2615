"""The loop: what does not fit is done in smaller parts, silly learning rates are refused."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.errors import RepairImpossible
from holdfast.repairs.plan import Plan
from training.progress import Report
from training.rows.batches import Example
from training.runs.loop import PART_ROWS, rate_factor, train
from training.runs.supervised import learn
from training.weights.model import load_policy

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
EXAMPLES = [Example(tuple(range(k, k + 20)), 4) for k in range(3, 9)]


def trained(
    baseline: Path, plan: Plan, report: Report, fits: int
) -> tuple[list[int], dict[str, torch.Tensor]]:
    """Weights after a run on a device where only `fits` rows fit; and the parts it tried."""
    policy = load_policy(baseline).double()  # Adam makes of rounding noise a step of full size
    tried: list[int] = []

    def gradient(_step: int, rows: int) -> Mapping[str, float]:
        tried.append(rows)
        figures = learn(policy, EXAMPLES, 2, rows)  # half of it may be there when memory runs out
        if rows > fits:
            raise torch.OutOfMemoryError
        return figures

    train(policy, plan, report, gradient)
    return tried, {name: weight.clone() for name, weight in policy.state_dict().items()}


def test_a_step_that_does_not_fit_is_done_again_in_smaller_parts(
    baseline: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    plan = plan_of("finetune", steps=2)
    _, whole = trained(baseline, plan, report, PART_ROWS)
    events.clear()
    tried, parts = trained(baseline, plan, report, 1)
    assert tried == [4, 2, 1, 1]
    assert [event["text"] for event in events if event["event"] == "note"] == [
        "step 1: out of memory, going on with 2 rows at a time",
        "step 1: out of memory, going on with 1 rows at a time",
    ]
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, atol=1e-8, rtol=1e-6)


def test_a_row_that_does_not_fit_ends_the_run(
    baseline: Path, plan_of: PlanOf, report: Report
) -> None:
    with pytest.raises(RepairImpossible, match="not even one row fits"):
        trained(baseline, plan_of("finetune"), report, 0)


def test_every_step_has_its_rate_and_a_gradient_of_length_one(
    plan_of: PlanOf, report: Report
) -> None:
    """Gradients that are cut to one length make Adam's steps exactly as long as their rates."""
    policy = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(policy.weight)
    plan = plan_of("finetune", steps=6, warmup_steps=2, decay_from=0.5)
    places = []

    def gradient(step: int, _rows: int) -> Mapping[str, float]:
        places.append(policy.weight.item())
        policy.weight.grad = torch.full((1, 1), (2.0, 1e6)[step % 2])
        return {"loss": 1.0, "tokens": 1}

    train(policy, plan, report, gradient)
    places.append(policy.weight.item())
    moved = [before - after for before, after in pairwise(places)]
    shares = [1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3]
    assert moved == pytest.approx([plan.learning_rate * share for share in shares], rel=1e-4)


def test_a_silly_rate_needs_force(plan_of: PlanOf) -> None:
    with pytest.raises(ValidationError, match="set force"):
        plan_of("finetune", learning_rate=0.01)
    assert plan_of("finetune", learning_rate=0.01, force=True)


def test_the_default_rate_warms_up_holds_and_decays_to_nearly_nothing() -> None:
    rates = [rate_factor(k, steps=30, warmup_steps=5, decay_from=0.6) for k in range(30)]
    assert rates[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert rates[5:19] == [1.0] * 14
    assert rates[18:] == pytest.approx([k / 12 for k in range(12, 0, -1)])


@pytest.mark.parametrize(
    ("steps", "warmup_steps", "decay_from", "expected"),
    [
        (3, 0, 1.0, [1, 1, 1]),
        (1, 5, 0.6, [1 / 6]),
        (4, 0, 0.5, [1, 1, 1, 0.5]),
        (2, 5, 0.6, [1 / 6, 2 / 6]),
    ],
)
def test_rates_of_short_runs(
    steps: int, warmup_steps: int, decay_from: float, expected: list[float]
) -> None:
    rates = [
        rate_factor(k, steps=steps, warmup_steps=warmup_steps, decay_from=decay_from)
        for k in range(steps)
    ]
    assert rates == pytest.approx(expected)


@given(
    steps=st.integers(1, 200),
    warmup_steps=st.integers(0, 50),
    decay_from=st.floats(0.01, 1),
)
def test_every_step_learns_and_none_beyond_the_peak(
    steps: int, warmup_steps: int, decay_from: float
) -> None:
    rates = [
        rate_factor(k, steps=steps, warmup_steps=warmup_steps, decay_from=decay_from)
        for k in range(steps)
    ]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
