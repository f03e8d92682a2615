"""The mean of a trajectory: of every step's weights, once each, also after a kill and a retry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from holdfast.errors import InvalidPlan
from holdfast.remediation import Plan
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
