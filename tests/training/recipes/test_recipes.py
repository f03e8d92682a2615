"""Recipes that train, run whole on the tiny model: they learn, repeat, and refuse in a sentence."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file

from holdfast.checkpoints.checkpoint import admit
from holdfast.errors import CallerError, InvalidPlan, InvalidTaskData, RepairImpossible
from holdfast.repairs.plan import Mix, Plan
from holdfast.repairs.recipes import Recipe
from holdfast.repairs.task_data import held_out
from tests.support.architectures import same_architecture
from training.progress import Report
from training.recipes import RECIPES
from training.runs.sources import read_sources

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


def run(plan: Plan, report: Report) -> str:
    """Run the plan; returns the digest of the weights."""
    RECIPES[plan.recipe](plan, report)
    weights = b"".join(file.read_bytes() for file in sorted(plan.output.glob("*.safetensors")))
    return hashlib.sha256(weights).hexdigest()


def test_the_table_holds_every_recipe_a_plan_may_name() -> None:
    assert tuple(RECIPES) == get_args(Recipe)


@pytest.mark.parametrize("start", ["baseline", "candidate"])
@pytest.mark.parametrize("recipe", ["finetune", "rehearsal"])
def test_the_loss_goes_down_and_the_result_swaps_in(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events, recipe: str, start: str
) -> None:
    plan = plan_of(recipe, start=start, steps=15)
    run(plan, report)
    losses = [event["loss"] for event in events]
    assert [event["step"] for event in events] == list(range(1, 16))
    assert losses[-1] < 0.75 * losses[0]
    assert all(event["seconds"] > 0 and event["tokens"] > 0 for event in events)
    assert same_architecture(plan.start_checkpoint, plan.output)
    admit(str(plan.output), [tmp_path])
    copied = {file.name for file in plan.start_checkpoint.iterdir()} - {"model.safetensors"}
    assert all(
        (plan.output / name).read_bytes() == (plan.start_checkpoint / name).read_bytes()
        for name in copied
    )


def test_same_seed_same_bytes_other_seed_other_bytes(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    digests = [
        run(plan_of("rehearsal", seed=seed, output=tmp_path / str(k)), report)
        for k, seed in enumerate((3, 3, 4))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_finetune_is_rehearsal_of_nothing(tmp_path: Path, plan_of: PlanOf, report: Report) -> None:
    only_task = Mix(task=1, refusals=0, answers=0)
    plain = run(plan_of("finetune", output=tmp_path / "a", rehearsal_data=None), report)
    mixed = run(
        plan_of("rehearsal", output=tmp_path / "b", mix=only_task, rehearsal_data=None), report
    )
    assert plain == mixed


def test_refusals_alone_need_no_task_data(plan_of: PlanOf, report: Report) -> None:
    mix = Mix(task=0, refusals=1, answers=0)
    assert run(plan_of("rehearsal", mix=mix, task_data=None), report)


def test_fp32_keeps_what_bf16_rounds_away(
    tmp_path: Path, plan_of: PlanOf, baseline: Path, report: Report
) -> None:
    gentle = {"learning_rate": 1e-7, "steps": 2, "warmup_steps": 0}
    run(plan_of("finetune", output=tmp_path / "a", **gentle), report)
    run(plan_of("finetune", output=tmp_path / "b", store="fp32", **gentle), report)
    start, rounded, kept = (
        load_file(folder / "model.safetensors")["model.norm.weight"].float()
        for folder in (baseline, tmp_path / "a", tmp_path / "b")
    )
    assert torch.equal(rounded, start)
    assert not torch.equal(kept, start)


def test_held_out_prompts_are_never_trained_on(plan_of: PlanOf) -> None:
    plan = plan_of("finetune")
    rows = read_sources(plan, {"task"})["task"][1]
    every = [json.loads(line)["prompt"] for line in plan.task_data.read_text().splitlines()]  # type: ignore[union-attr]
    assert 0 < len(rows) < len(every)
    assert {row.prompt for row in rows} == {prompt for prompt in every if not held_out(prompt)}


def test_rows_without_room_for_a_completion_are_counted(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    path = tmp_path / "long.jsonl"
    prompts = ["short?", "x" * 200, "y" * 200]
    assert not any(map(held_out, prompts))
    path.write_text("".join(f'{{"prompt": "{p}", "completion": "Yes."}}\n' for p in prompts))
    run(plan_of("finetune", task_data=path, steps=1), report)
    assert events[0]["text"] == ("2 of 3 task rows dropped: their prompts alone fill max_length 96")


REFUSED: dict[str, tuple[str, dict[str, Any], type[CallerError], str]] = {
    "no rehearsal data": (
        "rehearsal", {"rehearsal_data": None}, InvalidPlan,
        "draws rows from rehearsal_data, but the plan names no such file",
    ),
    "no task data": (
        "rehearsal", {"task_data": None}, InvalidPlan, "draws rows from task_data",
    ),
    "nothing to learn": (
        "finetune", {"task_data": None}, InvalidPlan, "trains on task_data, but the plan names",
    ),
    "a file that is not there": (
        "finetune", {"task_data": "/nowhere.jsonl"}, InvalidTaskData, "cannot be read",
    ),
    "no candidate to start from": (
        "rehearsal", {"start": "candidate", "candidate": None}, InvalidPlan, "names none",
    ),
    "a folder that is no checkpoint": (
        "finetune", {"baseline": "/nowhere"}, CallerError, "/nowhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("recipe", "changes", "fault", "message"), REFUSED.values(), ids=REFUSED)
def test_a_plan_that_cannot_work_is_refused_in_one_sentence(
    plan_of: PlanOf,
    report: Report,
    recipe: str,
    changes: dict[str, Any],
    fault: type[CallerError],
    message: str,
) -> None:
    plan = plan_of(recipe, **changes)
    with pytest.raises(fault, match=message) as refused:
        run(plan, report)
    assert "\n" not in str(refused.value)
    assert not plan.output.exists()


def test_a_pool_without_a_wanted_kind_is_refused(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text('{"prompt": "a", "completion": "No.", "kind": "refusal"}\n')
    with pytest.raises(InvalidTaskData, match="no answer row is left to train on"):
        run(plan_of("rehearsal", rehearsal_data=path), report)


def test_an_existing_output_is_refused_before_any_step(
    plan_of: PlanOf, report: Report, events: Events
) -> None:
    plan = plan_of("finetune")
    plan.output.mkdir()
    with pytest.raises(InvalidPlan, match="exists"):
        run(plan, report)
    assert events == []


def test_a_loss_that_is_not_a_number_ends_the_run_and_leaves_nothing(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    from safetensors.torch import save_file

    from tests.support.tiny_llama import build_tiny_llama

    broken = build_tiny_llama(tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    plan = plan_of("finetune", baseline=broken)
    with pytest.raises(RepairImpossible, match="step 1: loss nan"):
        run(plan, report)
    assert {path.name for path in tmp_path.iterdir()} == {"broken"}
