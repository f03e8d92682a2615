"""Recipes with penalties, run whole on the tiny model: at no strength they are what they add to."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.passes.fisher import diagonal_fisher, draw_tokens, squared_gradients
from training.progress import Report
from training.recipes import RECIPES
from training.rows.batches import Example
from training.weights.model import load_policy

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
FAST = {"learning_rate": 3e-3, "force": True, "warmup_steps": 0, "steps": 10, "store": "fp32"}
STRONG: dict[str, dict[str, Any]] = {
    "l2_anchor": {"penalty": {"l2": 300.0}},
    "l1_anchor": {"penalty": {"l1": 0.3}},
    "ewc": {"penalty": {"ewc": 1e5, "fisher_rows": 6}},
    "kd": {"penalty": {"kd": 30.0}},
}


def weights(plan: Plan) -> dict[str, Tensor]:
    return load_file(plan.output / "model.safetensors")


def digest(plan: Plan) -> str:
    return hashlib.sha256((plan.output / "model.safetensors").read_bytes()).hexdigest()


def moved(plan: Plan) -> float:
    """How far the checkpoint is from its baseline."""
    start = load_file(plan.baseline / "model.safetensors")
    apart = [(ours - start[name].float()).square().sum() for name, ours in weights(plan).items()]
    return torch.stack(apart).sum().sqrt().item()


@pytest.mark.parametrize("recipe", ["l2_anchor", "l1_anchor", "ewc"])
def test_without_strength_it_is_a_rehearsal_and_with_it_less_moves(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events, recipe: str
) -> None:
    plain = plan_of("rehearsal", output=tmp_path / "plain", **FAST)
    knobs = {"l2": 0.0, "l1": 0.0, "ewc": 0.0, "fisher_rows": 6}
    free = plan_of(recipe, output=tmp_path / "free", penalty=knobs, **FAST)
    held = plan_of(recipe, output=tmp_path / "held", **STRONG[recipe], **FAST)
    for plan in (plain, free, held):
        RECIPES[plan.recipe](plan, report)
    assert digest(plain) == digest(free)
    assert moved(held) < 0.7 * moved(free)
    penalties = [event["penalty"] for event in events if "penalty" in event]
    assert penalties[10] == 0 < penalties[11]  # the first step of `held` is at the baseline


def test_kd_without_strength_is_plain_tuning_and_with_it_logits_stay(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    mix = {"task": 0.5, "refusals": 0.25, "answers": 0.25}
    plain = plan_of("finetune", output=tmp_path / "plain", batch_size=4, **FAST)
    free = plan_of("kd", output=tmp_path / "free", mix=mix, penalty={"kd": 0.0}, **FAST)
    held = plan_of("kd", output=tmp_path / "held", mix=mix, **STRONG["kd"], **FAST)
    for plan in (plain, free, held):
        RECIPES[plan.recipe](plan, report)
    assert digest(plain) == digest(free)
    apart = [event["logit_mse"] for event in events if "logit_mse" in event]
    assert apart[0] == pytest.approx(0, abs=1e-3)
    assert apart[-1] < 0.7 * apart[9]


def test_a_gentle_beta_is_a_rehearsal_and_a_firm_one_holds_the_first_tokens(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    gentle = {"first": 1e-4, "early": 1e-4, "later": 1e-4}
    firm = {"first": 1e3, "early": 1e3, "later": 1e3}
    plans = [
        plan_of("rehearsal", output=tmp_path / "plain", **FAST),
        plan_of("constrained_sft", output=tmp_path / "gentle", constrained=gentle, **FAST),
        plan_of("constrained_sft", output=tmp_path / "firm", constrained=firm, **FAST),
    ]
    plain, close, held = ([] for _ in plans)
    for plan, losses in zip(plans, (plain, close, held), strict=True):
        RECIPES[plan.recipe](plan, report)
        losses += [event["loss"] for event in events if event["event"] == "step"]
        events.clear()
    assert close == pytest.approx(plain, rel=2e-2)
    assert held[0] == pytest.approx(plain[0], rel=1e-3)
    assert held[-1] > plain[-1]


@pytest.mark.parametrize("recipe", ["l2_anchor", "l1_anchor", "ewc"])
def test_an_adapter_has_nothing_to_be_pulled_to(
    plan_of: PlanOf, report: Report, recipe: str
) -> None:
    with pytest.raises(InvalidPlan, match="an adapter's have none"):
        RECIPES[recipe](plan_of(recipe, lora={"rank": 4}), report)  # type: ignore[index]


def test_frozen_weights_stay_and_cost_nothing(plan_of: PlanOf, report: Report) -> None:
    plan = plan_of("ewc", freeze=["model.embed_tokens.*"], penalty={"fisher_rows": 4}, **FAST)
    RECIPES["ewc"](plan, report)
    start = load_file(plan.baseline / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(weights(plan)["model.embed_tokens.weight"], start.float())


def test_the_fisher_of_a_softmax_regression_is_the_analytic_one() -> None:
    """Squares weighted by the chance of each y: diag of X^T (diag p - p p^T) X, per class."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(4, generator=generator)
    weight = torch.randn(4, 3, generator=generator).requires_grad_()
    chances = (inputs @ weight).softmax(-1).detach()
    expected = inputs.square()[:, None] * (chances * (1 - chances))[None, :]
    found = torch.zeros(4, 3)
    for label in range(3):
        likelihood = functional.log_softmax(inputs @ weight, -1)[label]
        found += chances[label] * squared_gradients(likelihood, [weight])[0]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(20_000, 3)
    found = draw_tokens(logits, torch.Generator().manual_seed(0)).bincount(minlength=3) / 20_000
    torch.testing.assert_close(found, logits[0].softmax(-1), atol=0.01, rtol=0)


def test_true_and_empirical_fisher_are_told_apart_and_average_squares(baseline: Path) -> None:
    model = load_policy(baseline)
    rows = [Example(tuple(range(10, 24)), 6), Example(tuple(range(30, 40)), 4)]
    name = "model.layers.0.mlp.up_proj.weight"
    both, first, second = (
        diagonal_fisher(model, some, 2, "empirical", 0)[name] for some in (rows, rows[:1], rows[1:])
    )
    torch.testing.assert_close(both, (first + second) / 2, atol=1e-9, rtol=1e-3)
    true, again, other = (diagonal_fisher(model, rows, 2, "true", seed)[name] for seed in (0, 0, 1))
    assert torch.equal(true, again)
    assert not torch.equal(true, other)
    assert not torch.allclose(true, both)
