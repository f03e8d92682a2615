"""The same recipes on other families: trained, merged, written back, loaded by the library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from holdfast.checkpoints.checkpoint import admit
from holdfast.repairs.plan import Plan
from tests.support.architectures import same_architecture
from tests.support.tiny_families import TRAINED, build_tiny
from training.progress import Report
from training.recipes import RECIPES

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]

OPTIONS: dict[str, dict[str, Any]] = {
    "all weights": {},
    "an adapter": {"lora": {"rank": 4}, "learning_rate": 1e-2},
    "a frozen block": {"freeze": ("*layers.0.*",)},
    "checkpointed": {"gradient_checkpointing": True},
}
MERGES: dict[str, dict[str, Any]] = {
    "wise_ft": {},
    "hma": {"hma": {"groups": 2, "tries": 3, "rows": 4}},
    "graft": {},
    "safe_merge": {},
}


@pytest.fixture(params=TRAINED)
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    return {
        name: build_tiny(request.param, tmp_path / name, seed=seed)
        for seed, name in enumerate(("baseline", "candidate", "unaligned"))
    }


def loads_whole(folder: Path) -> torch.nn.Module:
    """The library's own reading of a checkpoint, nothing missing and nothing left over."""
    model, said = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(said[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    whole: torch.nn.Module = model
    return whole


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_training_learns_and_writes_what_the_library_loads(
    tmp_path: Path,
    plan_of: PlanOf,
    report: Report,
    events: Events,
    sides: dict[str, Path],
    options: dict[str, Any],
) -> None:
    plan = plan_of(
        "rehearsal",
        **{"baseline": sides["baseline"], "steps": 5, "learning_rate": 1e-3, "force": True}
        | options,
    )
    RECIPES[plan.recipe](plan, report)
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert losses[-1] < losses[0]
    assert same_architecture(plan.baseline, plan.output)
    admit(str(plan.output), [tmp_path])
    loads_whole(plan.output)
    before, after = (load_file(f / "model.safetensors") for f in (plan.baseline, plan.output))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any(".layers.0." in name for name in moved if "freeze" in options)


@pytest.mark.parametrize("recipe", MERGES)
def test_merging_writes_what_the_library_loads(
    tmp_path: Path, plan_of: PlanOf, report: Report, sides: dict[str, Path], recipe: str
) -> None:
    knobs = MERGES[recipe]
    if recipe == "safe_merge":
        knobs = {"safe_merge": {"unaligned": sides["unaligned"], "threshold": 1}}
    chosen = {"baseline": sides["baseline"], "candidate": sides["candidate"]}
    plan = plan_of(recipe, store="fp32", **chosen, **knobs)
    outcome = RECIPES[recipe](plan, report)
    assert 0 < outcome["effective_ratio"] <= 1
    admit(str(plan.output), [tmp_path])
    merged = loads_whole(plan.output)
    if recipe == "wise_ft":
        ours, theirs = (loads_whole(side).state_dict() for side in chosen.values())
        for name, got in merged.state_dict().items():
            expected = 0.2 * ours[name].float() + 0.8 * theirs[name].float()
            torch.testing.assert_close(got, expected, atol=1e-6, rtol=0, msg=name)
