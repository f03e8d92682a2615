"""Frozen means bit for bit, an adapter is merged, checkpointed gradients are the same ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from safetensors.torch import load_file

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.progress import Report
from training.recipes import RECIPES
from training.rows.batches import Example
from training.runs.resume import STATE
from training.runs.supervised import learn
from training.weights.model import load_policy
from training.weights.trainable import trainable

PlanOf = Callable[..., Plan]


def moved(plan: Plan, report: Report) -> set[str]:
    """The tensors that a run changed."""
    RECIPES[plan.recipe](plan, report)
    before, after = (
        load_file(folder / "model.safetensors") for folder in (plan.baseline, plan.output)
    )
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name].float(), after[name].float())}


def test_frozen_tensors_stay_as_they_are(plan_of: PlanOf, report: Report) -> None:
    frozen = ("model.embed_tokens.*", "model.layers.0.*")
    changed = moved(plan_of("finetune", freeze=frozen, store="fp32"), report)
    assert changed
    assert not any(name.startswith(("model.layers.0", "model.embed")) for name in changed)
    assert any(name.startswith("model.layers.1") for name in changed)


def test_the_optimizer_holds_no_state_for_frozen_weights(
    tmp_path: Path, plan_of: PlanOf, baseline: Path, report: Report
) -> None:
    frozen = ("model.embed_tokens.*", "model.layers.0.*")
    plan = plan_of("finetune", freeze=frozen, resume=tmp_path / "state", save_seconds=0)
    RECIPES["finetune"](plan, report)
    kept = torch.load(plan.resume / STATE, weights_only=True)  # type: ignore[operator]
    policy = trainable(load_policy(baseline), plan)
    trained = {name: weight for name, weight in policy.named_parameters() if weight.requires_grad}
    moments = [state["exp_avg_sq"].shape for state in kept["optimizer"]["state"].values()]
    assert 0 < len(trained) < len(list(policy.parameters()))
    assert kept["weights"].keys() == trained.keys()
    assert moments == [weight.shape for weight in trained.values()]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [(("layers.0.*",), "no parameter matches"), (("*",), "every parameter is frozen")],
)
def test_a_freeze_that_is_not_meant_is_refused(
    plan_of: PlanOf, report: Report, patterns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidPlan, match=message):
        RECIPES["finetune"](plan_of("finetune", freeze=patterns), report)


def test_an_adapter_moves_what_it_adapts_and_nothing_else(plan_of: PlanOf, report: Report) -> None:
    plan = plan_of("finetune", lora={"rank": 2, "targets": ["q_proj"]}, store="fp32")
    assert {name.split(".")[-2] for name in moved(plan, report)} == {"q_proj"}


def test_an_adapters_default_is_every_linear_layer_of_the_blocks(
    plan_of: PlanOf, report: Report
) -> None:
    plan = plan_of("finetune", lora={"rank": 2}, store="fp32")
    changed = {name.split(".")[-2] for name in moved(plan, report)}
    assert changed == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }


@pytest.mark.parametrize("recipe", ["finetune", "sma"])
def test_a_kept_adapter_makes_of_its_base_what_was_merged(
    plan_of: PlanOf, report: Report, recipe: str, tmp_path: Path
) -> None:
    plan = plan_of(recipe, lora={"rank": 2, "keep": True}, store="fp32")
    RECIPES[recipe](plan, report)
    adapter = tmp_path / "output-adapter"
    assert plan.adapter_folder == adapter
    base = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert Path(base) == plan.baseline
    theirs = PeftModel.from_pretrained(load_policy(Path(base)), adapter)  # type: ignore[arg-type]
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        logits = [model(input_ids=ids).logits for model in (theirs, load_policy(plan.output))]
        untouched = load_policy(plan.baseline)(input_ids=ids).logits
    torch.testing.assert_close(logits[0], logits[1], atol=1e-5, rtol=0)
    assert (logits[0] - untouched).abs().max() > 1e-3
    merged = {"baseline": base, "adapter": adapter, "output": tmp_path / "merged"}
    RECIPES["merge_adapter"](Plan(recipe="merge_adapter", store="fp32", **merged), report)
    again, ours = (load_file(f / "model.safetensors") for f in (tmp_path / "merged", plan.output))
    for name, weight in ours.items():
        torch.testing.assert_close(again[name], weight, atol=1e-6, rtol=0, msg=name)


def test_an_adapters_folder_that_is_there_is_not_overwritten(
    plan_of: PlanOf, report: Report, tmp_path: Path
) -> None:
    (tmp_path / "output-adapter").mkdir()
    with pytest.raises(InvalidPlan, match="output-adapter exists"):
        RECIPES["finetune"](plan_of("finetune", lora={"keep": True}), report)
    assert not (tmp_path / "output").exists()


def test_kl_anchor_has_no_adapter_to_keep(plan_of: PlanOf) -> None:
    plan_of("kl_anchor", lora={})
    with pytest.raises(ValidationError, match=r"lora\.keep: kl_anchor"):
        plan_of("kl_anchor", lora={"keep": True})


def test_an_adapter_on_layers_that_are_not_there_is_refused(
    plan_of: PlanOf, report: Report
) -> None:
    with pytest.raises(InvalidPlan, match="lora"):
        RECIPES["finetune"](plan_of("finetune", lora={"targets": ["nowhere"]}), report)


def test_checkpointed_gradients_are_the_same(baseline: Path, plan_of: PlanOf) -> None:
    examples = [Example(tuple(range(3, 30)), 4), Example(tuple(range(40, 60)), 9)]
    found = []
    for checkpointing in (False, True):
        plan = plan_of("finetune", gradient_checkpointing=checkpointing)
        policy = trainable(load_policy(baseline), plan)
        loss = learn(policy, examples, pad=2, rows=2)["loss"]
        found.append((loss, torch.cat([w.grad.flatten() for w in policy.parameters()])))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-4)
