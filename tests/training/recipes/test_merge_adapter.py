"""Our merge is peft's in fp32, over every family; what rounding would swallow is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.repairs.plan import Plan
from tests.support.tiny_families import TRAINED, build_tiny
from tests.support.tiny_llama import build_tiny_llama
from training.progress import Report
from training.recipes import merge_adapter
from training.weights.model import load_policy

Events = list[dict[str, Any]]
IDS = torch.arange(5, 45)[None]


def write_adapter(base: Path, folder: Path, scale: float = 1.0, **changes: Any) -> Path:
    """A random adapter of `base`, saved by peft."""
    config: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
    torch.manual_seed(0)
    model = get_peft_model(
        load_policy(base),  # type: ignore[arg-type]
        LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **config | changes),
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.mul_(scale)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def plan_for(base: Path, adapter: Path, **changes: Any) -> Plan:
    fields = {"recipe": "merge_adapter", "baseline": base, "adapter": adapter, "store": "fp32"}
    return Plan.model_validate(fields | {"output": adapter.parent / "merged"} | changes)


@pytest.mark.parametrize("family", ["llama", *TRAINED])
def test_it_is_pefts_merge_in_fp32(family: str, tmp_path: Path, report: Report) -> None:
    base = build_tiny(family, tmp_path / "base")
    rslora = family == "llama"
    adapter = write_adapter(base, tmp_path / "adapter", use_rslora=rslora)
    plan = plan_for(base, adapter)
    assert merge_adapter.run(plan, report)["effective_ratio"] == pytest.approx(1.0, abs=1e-5)
    theirs = PeftModel.from_pretrained(load_policy(base), adapter).merge_and_unload()  # type: ignore[arg-type]
    ours = load_policy(plan.output)
    expected, alone = theirs.state_dict(), load_policy(base).state_dict()
    for name, got in ours.state_dict().items():
        torch.testing.assert_close(got, expected[name], atol=1e-6, rtol=1e-5, msg=name)
    changed = [name for name in alone if not torch.equal(alone[name], ours.state_dict()[name])]
    assert changed
    with torch.no_grad():
        torch.testing.assert_close(
            ours(input_ids=IDS).logits, theirs(input_ids=IDS).logits, atol=1e-5, rtol=0
        )


def test_shards_stay_shards_and_what_is_not_adapted_stays_byte_for_byte(
    tmp_path: Path, report: Report
) -> None:
    base = build_tiny_llama(tmp_path / "base", shards=2)
    adapter = write_adapter(base, tmp_path / "adapter", target_modules=["v_proj"])
    plan = plan_for(base, adapter, store="source")
    ratio = merge_adapter.run(plan, report)["effective_ratio"]
    assert ratio == pytest.approx(1.0, abs=0.02)
    for file in base.glob("*.safetensors"):
        ours, theirs = load_file(plan.output / file.name), load_file(file)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert tensor.dtype == theirs[name].dtype
            assert torch.equal(tensor, theirs[name]) == ("v_proj" not in name), name
    for file in ("config.json", "tokenizer.json", "model.safetensors.index.json"):
        assert (plan.output / file).exists()
    assert not list(plan.output.glob("adapter*"))


def test_an_adapter_smaller_than_the_dtype_resolves_is_kept_on_average(
    tmp_path: Path, baseline: Path, report: Report, events: Events
) -> None:
    adapter = write_adapter(baseline, tmp_path / "adapter", scale=1e-3)
    plan = plan_for(baseline, adapter, store="source")
    assert merge_adapter.run(plan, report)["effective_ratio"] == pytest.approx(1.0, abs=0.03)
    assert "14 weights are changed by less" in events[-1]["text"]
    again = plan_for(baseline, adapter, store="source", output=tmp_path / "again")
    merge_adapter.run(again, report)
    ours, theirs = ((one.output / "model.safetensors").read_bytes() for one in (plan, again))
    assert ours == theirs


def test_an_adapter_that_rounding_swallows_is_refused_and_leaves_nothing(
    tmp_path: Path, baseline: Path, report: Report
) -> None:
    adapter = write_adapter(baseline, tmp_path / "adapter", scale=1e-8)
    plan = plan_for(baseline, adapter, store="source")
    with pytest.raises(InvalidPlan, match="of the adapter's change is left"):
        merge_adapter.run(plan, report)
    assert list(tmp_path.iterdir()) == [adapter]


def test_an_adapter_that_adds_nothing_is_its_base(
    tmp_path: Path, baseline: Path, report: Report, events: Events
) -> None:
    adapter = write_adapter(baseline, tmp_path / "adapter", scale=0.0)
    plan = plan_for(baseline, adapter, store="source")
    assert merge_adapter.run(plan, report)["effective_ratio"] is None
    assert "adds nothing" in events[-1]["text"]
    ours, theirs = (load_file(f / "model.safetensors") for f in (plan.output, baseline))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def damage(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    factors = load_file(file)
    next(iter(factors.values()))[0, 0] = float("nan")
    save_file(factors, file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (damage, "NaN or infinite weights"),
        (lambda adapter: (adapter / "adapter_config.json").write_text("{}"), "peft_type is None"),
        (lambda adapter: (adapter / "adapter_config.json").unlink(), "no adapter_config.json"),
        (lambda adapter: (adapter / "adapter_model.safetensors").unlink(), "no adapter_model"),
    ],
)
def test_what_cannot_be_merged_leaves_nothing(
    tmp_path: Path, baseline: Path, report: Report, change: Callable[[Path], object], says: str
) -> None:
    adapter = write_adapter(baseline, tmp_path / "adapter")
    change(adapter)
    with pytest.raises(CheckpointRefused, match=says):
        merge_adapter.run(plan_for(baseline, adapter), report)
    assert list(tmp_path.iterdir()) == [adapter]


def test_a_plan_without_an_adapter_says_so(plan_of: Callable[..., Plan], report: Report) -> None:
    with pytest.raises(InvalidPlan, match="names no `adapter`"):
        merge_adapter.run(plan_of("merge_adapter"), report)
