"""Layers that strayed move back, the others stay; dense sums are PEFT's `cat`, not `linear`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from tests.support.tiny_llama import build_tiny_llama
from training.merging.averaging import average
from training.progress import Report
from training.recipes import safe_merge

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture
def unaligned(tmp_path: Path) -> Path:
    return build_tiny_llama(tmp_path / "unaligned", seed=2)


def cosines(events: Events) -> dict[str, float]:
    return {event["name"]: event["cosine"] for event in events if event["event"] == "layer"}


def test_layers_below_the_threshold_are_averaged_and_all_else_is_the_candidates(
    plan_of: PlanOf, unaligned: Path, report: Report, events: Events
) -> None:
    graded = {"unaligned": unaligned, "threshold": 1.0}
    safe_merge.run(plan_of("safe_merge", safe_merge=graded), report)
    found = cosines(events)
    middle = sorted(found.values())[len(found) // 2]
    plan = plan_of(
        "safe_merge",
        output=unaligned.parent / "half",
        store="fp32",
        safe_merge=graded | {"threshold": middle},
    )
    outcome = safe_merge.run(plan, report)
    low = {name for name, cosine in found.items() if cosine < middle}
    assert (outcome["layers"], outcome["merged_layers"]) == (14, len(low))
    ours, theirs, merged = (weights(f) for f in (plan.baseline, plan.candidate, plan.output))  # type: ignore[arg-type]
    for name, got in merged.items():
        ratio = 0.8 if name in low else 1.0
        expected = (1 - ratio) * ours[name].float() + ratio * theirs[name].float()
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0, msg=name)


def test_projecting_keeps_what_lies_in_the_directions(
    plan_of: PlanOf, unaligned: Path, report: Report
) -> None:
    knobs = {"unaligned": unaligned, "threshold": 1.0, "mode": "project", "energy": 0.5}
    plan = plan_of("safe_merge", store="fp32", safe_merge=knobs)
    outcome = safe_merge.run(plan, report)
    assert 0 < outcome["effective_ratio"] < 1
    name = "model.layers.0.mlp.up_proj.weight"
    ours, theirs, merged, before = (
        weights(folder)[name].float()
        for folder in (plan.baseline, plan.candidate, plan.output, unaligned)
    )
    vectors, values, _ = torch.linalg.svd(ours - before, full_matrices=False)
    rank = int(((values**2).cumsum(0) < 0.5 * (values**2).sum()).sum()) + 1
    projector = vectors[:, :rank] @ vectors[:, :rank].T
    torch.testing.assert_close(merged - ours, projector @ (theirs - ours), atol=1e-5, rtol=1e-4)
    head = "model.embed_tokens.weight"
    assert torch.equal(weights(plan.output)[head], weights(plan.candidate)[head].float())  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["average", "project"])
def test_an_alignment_that_changed_nothing_leaves_the_candidate(
    plan_of: PlanOf, baseline: Path, report: Report, events: Events, mode: str
) -> None:
    plan = plan_of("safe_merge", safe_merge={"unaligned": baseline, "mode": mode})
    assert safe_merge.run(plan, report)["merged_layers"] == 0
    assert set(cosines(events).values()) == {None}
    got, theirs = weights(plan.output), weights(plan.candidate)  # type: ignore[arg-type]
    assert all(torch.equal(got[name], theirs[name]) for name in theirs)
    assert any("is the baseline in every layer" in event.get("text", "") for event in events)


def test_without_the_model_before_alignment_it_says_what_it_needs(
    plan_of: PlanOf, report: Report
) -> None:
    with pytest.raises(InvalidPlan, match=r"name it as safe_merge\.unaligned"):
        safe_merge.run(plan_of("safe_merge"), report)


def two_adapters(combination: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Base weight, the same with each adapter, and what peft makes of .8 and .2 of them."""
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(24, 40, bias=False))
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["0"], init_lora_weights=False)
    model = get_peft_model(base, config, adapter_name="tuned")
    model.add_adapter("safe", config)
    layer = model.base_model.model[0]
    alone = [layer.base_layer.weight + layer.get_delta_weight(name) for name in ("tuned", "safe")]
    model.add_weighted_adapter(["tuned", "safe"], [0.8, 0.2], "both", combination_type=combination)
    both = layer.base_layer.weight + layer.get_delta_weight("both")
    return [weight.detach() for weight in alone], both.detach()


def test_a_dense_merge_is_the_weighted_sum_that_peft_calls_cat_and_not_its_linear() -> None:
    (tuned, safe), cat = two_adapters("cat")
    ours = torch.empty_like(cat)
    average(safe, tuned, 0.8, ours)
    torch.testing.assert_close(ours, cat, atol=1e-6, rtol=0)
    _, linear = two_adapters("linear")
    assert (linear - cat).norm() > 0.1 * (cat - safe).norm()
