"""One model under two namings: what a library saves of a model in memory merges with its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from holdfast.errors import CheckpointRefused
from holdfast.repairs.plan import Plan
from tests.support.tiny_families import build_tiny
from tests.training.conftest import tensors
from training.progress import Report
from training.recipes import RECIPES

PlanOf = Callable[..., Plan]

MERGES: dict[str, dict[str, Any]] = {
    "wise_ft": {"candidate_weight": 0.5},
    "hma": {"hma": {"groups": 2, "ratios": (0.4, 0.6)}, "candidate_weight": 0.5},
    "graft": {"graft": {"keep": 0.3}},
}


def as_in_memory(folder: Path, target: Path) -> Path:
    """The checkpoint as accelerate's save_model writes it: a model's own names, unconverted."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    model.save_pretrained(target)
    state = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    return target


def of_the_base_model(folder: Path, target: Path) -> Path:
    """The checkpoint as the model without its head saves it: no `model.` before the names."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    model.model.save_pretrained(target)
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    return target


@pytest.mark.parametrize("recipe", MERGES)
@pytest.mark.parametrize("start", ["baseline", "candidate"])
@pytest.mark.parametrize("family", ["qwen3_moe", "mixtral", "gpt_neox"])
def test_a_merge_does_not_hang_on_how_its_sides_name_their_tensors(
    tmp_path: Path, plan_of: PlanOf, report: Report, family: str, start: str, recipe: str
) -> None:
    sides = {
        name: build_tiny(family, tmp_path / name, seed=seed)
        for seed, name in enumerate(("baseline", "candidate"))
    }
    expected = plan_of(recipe, **sides, start=start, output=tmp_path / "x", **MERGES[recipe])
    RECIPES[recipe](expected, report)
    for side, folder in sides.items():
        other = sides | {side: as_in_memory(folder, tmp_path / f"{side}-in-memory")}
        assert tensors(other[side]).keys() != tensors(folder).keys()
        output = tmp_path / f"of-{side}"
        plan = plan_of(recipe, **other, start=start, output=output, **MERGES[recipe])
        RECIPES[recipe](plan, report)
        assert tensors(plan.output).keys() == tensors(other[start]).keys()
        ours, theirs = (
            AutoModelForCausalLM.from_pretrained(one.output, dtype="auto").state_dict()
            for one in (expected, plan)
        )
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_prefix_that_the_library_knows_is_no_difference(
    tmp_path: Path, plan_of: PlanOf, report: Report, baseline: Path, candidate: Path
) -> None:
    bare = of_the_base_model(candidate, tmp_path / "bare")
    assert "layers.0.mlp.up_proj.weight" in tensors(bare)
    outputs = []
    for name, side in (("whole", candidate), ("bare", bare)):
        plan = plan_of("wise_ft", candidate=side, output=tmp_path / f"of-{name}")
        RECIPES["wise_ft"](plan, report)
        outputs.append(tensors(plan.output))
    assert outputs[0].keys() == outputs[1].keys()
    assert all(torch.equal(outputs[0][name], outputs[1][name]) for name in outputs[0])


def test_experts_that_are_not_all_there_are_refused(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    sides = {
        name: build_tiny("qwen3_moe", tmp_path / name, seed=seed)
        for seed, name in enumerate(("baseline", "candidate"))
    }
    sides["candidate"] = as_in_memory(sides["candidate"], tmp_path / "in-memory")
    file = sides["candidate"] / "model.safetensors"
    weights = load_file(file)
    fused = "model.layers.0.mlp.experts.gate_up_proj"
    weights[fused] = weights[fused][:-1].clone()
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointRefused, match=r"layers\.0\.mlp\.experts.* stands only in the"):
        RECIPES["wise_ft"](plan_of("wise_ft", **sides), report)
