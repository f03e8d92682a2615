"""The mean of a trajectory: of every step's weights once each, or of checkpoints that are given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.repairs.plan import Plan
from tests.support.tiny_llama import build_tiny_llama
from training.progress import Report
from training.recipes import RECIPES, sma

PlanOf = Callable[..., Plan]


class Killed(Exception):
    """Stands for the end of the process."""


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_mean_counts_every_step_once() -> None:
    policy, memory = nn.Linear(1, 1, bias=False), dict[str, Any]()
    for step, value in enumerate((1.0, 2.0, 2.0, 7.0)):
        nn.init.constant_(policy.weight, value)
        for _ in range(2):  # a step that did not fit is tried again
            sma.join_mean(policy, step, memory)
    assert memory["mean"]["weight"].item() == pytest.approx(3.0)


def test_an_exponential_mean_keeps_so_much_of_itself_at_every_step() -> None:
    policy, memory = nn.Linear(1, 1, bias=False), dict[str, Any]()
    for step, value in enumerate((8.0, 4.0, 0.0)):
        nn.init.constant_(policy.weight, value)
        for _ in range(2):
            sma.join_mean(policy, step, memory, 0.75)
    assert memory["mean"]["weight"].item() == pytest.approx((8 * 0.75 + 4 * 0.25) * 0.75)


def test_a_run_with_a_decay_ships_the_exponential_mean(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    plans = [
        plan_of(recipe, steps=1, store="fp32", output=tmp_path / recipe, **fields)
        for recipe, fields in (("rehearsal", {}), ("sma", {"sma": {"decay": 0.9}}))
    ]
    for plan in plans:
        RECIPES[plan.recipe](plan, report)
    start, end, mean = (weights(f) for f in (plans[0].baseline, *(p.output for p in plans)))
    for name, got in mean.items():
        expected = 0.9 * start[name].float() + 0.1 * end[name]
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0, msg=name)


def test_a_decay_has_no_steps_to_weigh_in_given_checkpoints(plan_of: PlanOf) -> None:
    with pytest.raises(ValidationError, match="leave out one of them"):
        plan_of("sma", sma={"decay": 0.9, "checkpoints": ["/a", "/b"]})


def test_one_step_ships_the_middle_of_start_and_end(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    plans = [
        plan_of(recipe, steps=1, store="fp32", output=tmp_path / recipe)
        for recipe in ("rehearsal", "sma")
    ]
    for plan in plans:
        RECIPES[plan.recipe](plan, report)
    start, end, mean = (weights(f) for f in (plans[0].baseline, *(p.output for p in plans)))
    for name, got in mean.items():
        expected = (start[name].float() + end[name]) / 2
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0, msg=name)


def test_a_killed_run_goes_on_with_its_mean(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    def killing(event: str, /, **fields: Any) -> None:
        if event == "step" and fields["step"] == 4:
            raise Killed

    whole = plan_of("sma", steps=6, output=tmp_path / "whole")
    sma.run(whole, report)
    cut = plan_of("sma", steps=6, resume=tmp_path / "state", save_seconds=0)
    with pytest.raises(Killed):
        sma.run(cut, killing)
    sma.run(cut, report)
    ours, theirs = weights(cut.output), weights(whole.output)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_watch_is_refused(plan_of: PlanOf, report: Report) -> None:
    with pytest.raises(InvalidPlan, match="leave out watch"):
        sma.run(plan_of("sma", watch={}), report)


def trajectory(folder: Path, count: int, **how: Any) -> list[Path]:
    return [build_tiny_llama(folder / f"step-{k}", seed=k, **how) for k in range(count)]


@pytest.mark.parametrize("store", ["source", "fp32"])
@pytest.mark.parametrize("how", [{}, {"dtype": torch.float32}, {"shards": 2, "tied": False}])
def test_given_checkpoints_are_averaged_in_fp32_and_rounded_once(
    tmp_path: Path, plan_of: PlanOf, report: Report, store: str, how: dict[str, Any]
) -> None:
    start, *steps = trajectory(tmp_path, 4, **how)
    plan = plan_of("sma", baseline=start, store=store, sma={"checkpoints": [*steps, steps[0]]})
    ended = RECIPES["sma"](plan, report)
    found = [read(folder) for folder in (*steps, steps[0])]
    for name, got in read(plan.output).items():
        exact = torch.stack([one[name].double() for one in found]).mean(0)
        assert got.dtype == (torch.float32 if store == "fp32" else found[0][name].dtype)
        torch.testing.assert_close(got, exact.to(got.dtype), atol=1e-7, rtol=1e-2)
    assert ended["checkpoints"] == 4
    assert ended["effective_ratio"] == pytest.approx(1, abs=0.01)


def read(folder: Path) -> dict[str, torch.Tensor]:
    files = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    return {name: tensor for file in files for name, tensor in file.items()}


def test_the_mean_of_one_and_itself_is_it_bit_by_bit(
    tmp_path: Path, plan_of: PlanOf, report: Report, candidate: Path
) -> None:
    plan = plan_of("sma", sma={"checkpoints": [candidate, candidate]})
    RECIPES["sma"](plan, report)
    ours, theirs = weights(plan.output), weights(candidate)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_mean_that_rounding_undoes_is_refused(
    tmp_path: Path, plan_of: PlanOf, report: Report, baseline: Path
) -> None:
    """One weight in two checkpoints moved by the least that bf16 has: the mean has no place."""
    import shutil

    for k in range(2):
        folder = Path(shutil.copytree(baseline, tmp_path / f"step-{k}"))
        changed = {name: tensor.clone() for name, tensor in weights(baseline).items()}
        norm = changed["model.norm.weight"]
        norm[:] = torch.nextafter(norm, torch.full_like(norm, 9.0)) if k else norm
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    given = {"checkpoints": [tmp_path / "step-0", tmp_path / "step-1"]}
    with pytest.raises(InvalidPlan, match='set "store": "fp32"'):
        RECIPES["sma"](plan_of("sma", sma=given), report)
    assert not (tmp_path / "output").exists()
    RECIPES["sma"](plan_of("sma", sma=given, store="fp32"), report)


def test_what_is_no_trajectory_of_the_start_is_refused(
    tmp_path: Path, plan_of: PlanOf, report: Report, candidate: Path
) -> None:
    other = build_tiny_llama(tmp_path / "other", vocab=384)
    with pytest.raises(CheckpointRefused, match="vocabulary of the candidate was resized"):
        RECIPES["sma"](plan_of("sma", sma={"checkpoints": [candidate, other]}), report)
    with pytest.raises(InvalidPlan, match="two at least"):
        RECIPES["sma"](plan_of("sma", sma={"checkpoints": [candidate]}), report)
    assert not (tmp_path / "output").exists()
