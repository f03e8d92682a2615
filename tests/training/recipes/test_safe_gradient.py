"""Steps within the safe directions: known optima on a linear model, promises on a real tiny one."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.errors import InvalidPlan, RepairImpossible
from holdfast.repairs.knobs import SafeForm
from holdfast.repairs.plan import Mix, Plan
from tests.support.tiny_families import build_tiny
from tests.training.conftest import digest, steps, write_rows
from training.objectives.safety_subspace import as_matrix
from training.passes.answers import answer_logits
from training.progress import Report
from training.recipes import RECIPES
from training.recipes.safe_gradient import SafeSteps, project, safe_gradient, settle
from training.rows.batches import Example, tokenise
from training.runs.sources import read_sources
from training.runs.supervised import supervised_gradient
from training.runs.watch import mean_nats
from training.weights.model import load_policy, load_tokenizer

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
HARD = {"learning_rate": 3e-3, "force": True, "warmup_steps": 0, "steps": 12, "store": "fp32"}
EXACT = {"form": "null_space", "rows": 1, "energy": 1.0}


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DTYPE", "float32")


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Task = Callable[[Tensor], Tensor]


def learnt(
    start: Tensor, task: Task, form: SafeForm, directions: list[Tensor], *, of: str = "both"
) -> Tensor:
    """The weight of a linear model after a thousand steps of Adam.

    What is projected, by the recipe's own functions, is the `gradient`, the `step`, or both.
    """
    model = nn.Linear(start.shape[1], start.shape[0], bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(start)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.0)
    for _ in range(1000):
        before = {"weight": model.weight.detach().clone()}
        optimizer.zero_grad()
        task(model.weight).backward()
        if of != "step":
            assert model.weight.grad is not None
            model.weight.grad = -project(form, -model.weight.grad, directions)[0]
        optimizer.step()
        if of != "gradient":
            settle(model, form, {"before": before, "directions": {"weight": directions}})
    return model.weight.detach()


def test_the_constrained_optimum_is_reached_where_the_safe_directions_are_known() -> None:
    """The task asks for +3 along a direction that conflicts, -2 along one that helps, and more.

    Neither projection alone gets there: Adam brings back what the gradient had lost, and goes on
    for ever with what only its steps have lost.
    """
    left = torch.linalg.qr(draw(6, 2, seed=1))[0]
    right = torch.linalg.qr(draw(5, 2, seed=2))[0]
    conflicting, helping = (left[:, k : k + 1] @ right[:, k : k + 1].T for k in range(2))
    start, rest = draw(6, 5, seed=3), draw(6, 5, seed=4)
    rest = rest - (rest * conflicting).sum() * conflicting - (rest * helping).sum() * helping
    best_without = start + 3 * conflicting - 2 * helping + rest
    best_within = start - 2 * helping + rest

    def task(weight: Tensor) -> Tensor:
        return 0.5 * (weight - best_without).square().sum()

    kept, of_gradient, of_step = (
        learnt(start, task, "conflict", [left, right], of=of) for of in ("both", "gradient", "step")
    )
    torch.testing.assert_close(kept, best_within, atol=1e-3, rtol=0)
    assert ((kept - start) * conflicting).sum() < 1e-9
    assert ((of_gradient - start) * conflicting).sum() > 0.1
    assert (of_step - best_within).norm() > 0.5
    nothing = [torch.zeros(6, 1).double(), torch.zeros(5, 1).double()]
    free = learnt(start, task, "conflict", nothing)
    torch.testing.assert_close(free, best_without, atol=1e-3, rtol=0)


def test_the_null_space_optimum_is_the_least_squares_of_what_is_left() -> None:
    inputs, wanted = draw(9, 40, seed=5), draw(4, 9, seed=6)
    held = torch.linalg.qr(draw(9, 3, seed=7))[0]
    start = draw(4, 9, seed=8)
    free = torch.linalg.qr(torch.cat([held, draw(9, 6, seed=9)], 1))[0][:, 3:]
    missing = (wanted - start) @ inputs
    moved = torch.linalg.lstsq((free.T @ inputs).T, missing.T).solution.T @ free.T

    def task(weight: Tensor) -> Tensor:
        return ((weight - wanted) @ inputs).square().mean()

    kept = learnt(start, task, "null_space", [held])
    torch.testing.assert_close(kept, start + moved, atol=2e-3, rtol=0)
    torch.testing.assert_close(kept @ held, start @ held, atol=1e-9, rtol=0)
    of_gradient = learnt(start, task, "null_space", [held], of="gradient")
    assert ((of_gradient - start) @ held).norm() > 0.1


def refusals(plan: Plan, count: int) -> list[Example]:
    path, rows = read_sources(plan, {"refusal"})["refusal"]
    return tokenise(rows[:count], load_tokenizer(plan.baseline), plan.max_length, path)


def logits(folder: Path, examples: list[Example]) -> Tensor:
    with torch.no_grad():
        return answer_logits(load_policy(folder), [[example] for example in examples], 2)[0]


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 4}])
def test_in_the_null_space_the_refusal_keeps_its_logits_and_the_task_is_learnt(
    plan_of: PlanOf, report: Report, events: Events, tmp_path: Path, lora: Any
) -> None:
    own = {**HARD, "lora": lora, "learning_rate": 1e-2 if lora else 3e-3}
    plan = plan_of("safe_gradient", safe_gradient=EXACT, **own)
    plain = plan_of("finetune", output=tmp_path / "plain", **own)
    for one in (plan, plain):
        RECIPES[one.recipe](one, report)
    held = refusals(plan, 1)
    before, after, without = (
        logits(folder, held) for folder in (plan.baseline, plan.output, plain.output)
    )
    assert (without - before).abs().max() > 0.5
    assert (after - before).abs().max() < 1e-2
    losses = [event["loss"] for event in steps(events)][: plan.steps]
    assert losses[-1] < losses[0] - 0.2
    assert any("of what" in event.get("text", "") for event in events)


def test_steps_that_conflict_lose_what_conflicts_and_refusals_stay_likelier(
    plan_of: PlanOf, report: Report, events: Events, tmp_path: Path
) -> None:
    knobs = {"every": 1, "rank": 64}
    plan = plan_of("safe_gradient", safe_gradient=knobs, **HARD)
    plain = plan_of("finetune", output=tmp_path / "plain", **HARD)
    for one in (plan, plain):
        RECIPES[one.recipe](one, report)
    ours, theirs = steps(events)[: plan.steps], steps(events)[plan.steps :]
    assert plan.mix == Mix(task=1, refusals=0, answers=0)
    assert ours[0]["removed_step"] == 0
    assert all(0 < event["removed"] < 1 for event in ours)
    assert all(0 < event["removed_step"] < 1 for event in ours[1:])
    assert ours[0]["loss"] == theirs[0]["loss"]
    held = refusals(plan, 8)
    after, without = (
        mean_nats(load_policy(folder), held, 2) for folder in (plan.output, plain.output)
    )
    assert after < without - 0.05
    assert ours[-1]["loss"] < ours[0]["loss"] - 0.5


def test_the_gradient_that_is_clipped_and_remembered_conflicts_nowhere(plan_of: PlanOf) -> None:
    plan = plan_of("safe_gradient")
    policy = load_policy(plan.baseline)
    path, rows = read_sources(plan, {"task"})["task"]
    task = tokenise(rows[:8], load_tokenizer(plan.baseline), plan.max_length, path)
    plain = supervised_gradient(policy, [task], 2)
    directions = SafeSteps(plan, refusals(plan, 3), 2).refusal_directions(policy)
    memory = {"directions": directions, "removed_step": 0.0}

    def worst() -> float:
        """The largest rise along any direction, as a share of the gradient's length."""
        rises = []
        for name, weight in policy.named_parameters():
            assert weight.grad is not None
            left, right = directions[name]
            matrix = -as_matrix(weight.grad)
            rises.append(((left * (matrix @ right)).sum(-2).max() / matrix.norm()).item())
        return max(rises)

    plain(0, 4)
    assert worst() > 1e-3
    policy.zero_grad()
    figures = safe_gradient(policy, plain, "conflict", memory)(0, 4)
    assert worst() < 1e-6
    assert figures["removed"] > 0


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    "own",
    [
        {"safe_gradient": {"every": 3}},
        {"safe_gradient": {"every": 3}, "lora": {"rank": 4}},
        {"safe_gradient": EXACT},
        {"safe_gradient": EXACT, "lora": {"rank": 4}, "watch": {"rows": 3, "limit": 99.0}},
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    plan_of: PlanOf, report: Report, tmp_path: Path, own: dict[str, Any]
) -> None:
    whole = plan_of("safe_gradient", **own, **{**HARD, "steps": 7})
    RECIPES[whole.recipe](whole, report)

    def killed(event: str, /, **fields: Any) -> None:
        if event == "step" and fields["step"] == 4:
            raise Killed

    kept = {"resume": tmp_path / "state", "save_seconds": 0, "output": tmp_path / "again"}
    cut = plan_of("safe_gradient", **own, **{**HARD, "steps": 7}, **kept)
    with pytest.raises(Killed):
        RECIPES[cut.recipe](cut, killed)
    assert not cut.output.exists()
    RECIPES[cut.recipe](cut, report)
    assert digest(cut) == digest(whole)


def test_refusals_that_leave_nothing_to_learn_are_refused(
    plan_of: PlanOf, report: Report, tmp_path: Path
) -> None:
    words = random.Random(0)
    tokens = "".join(map(chr, (*range(33, 127), *range(0x100, 0x250))))  # more than the width
    rows = [
        {"prompt": "".join(words.choices(tokens, k=40)), "completion": "No.", "kind": kind}
        for kind in ["refusal"] * 12
    ]
    full = write_rows(tmp_path / "full.jsonl", rows)
    knobs = {**EXACT, "rows": 12}
    plan = plan_of("safe_gradient", safe_gradient=knobs, rehearsal_data=full, steps=1)
    with pytest.raises(RepairImpossible, match="leaves nothing to learn; lower"):
        RECIPES[plan.recipe](plan, report)
    assert not plan.output.exists()


def test_a_model_without_linear_layers_has_no_null_space(
    plan_of: PlanOf, report: Report, tmp_path: Path
) -> None:
    plan = plan_of(
        "safe_gradient", baseline=build_tiny("gpt2", tmp_path / "m"), safe_gradient=EXACT
    )
    with pytest.raises(InvalidPlan, match="has none of its own; take form conflict"):
        RECIPES[plan.recipe](plan, report)
    assert not plan.output.exists()
