"""Rehearse, and ship the mean of all weights on the way instead of the last ones: SMA.

The simple moving average of a trajectory forgets less than its end, for one more copy of the
weights (https://arxiv.org/abs/2309.06256 compares with it). Knobs are those of `rehearsal`, from
which it differs in the last line alone. The mean is kept in fp32 and begins with the start's own
weights; a killed run goes on with it. Not with `watch`: a step that a watch takes back would stay
in the mean.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.errors import InvalidPlan
from holdfast.remediation import Plan
from training.loop import Gradient, train
from training.model import trained_weights
from training.progress import Report
from training.recipes.rehearsal import prepared
from training.supervised import supervised
from training.trainable import save_checkpoint


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train on the plan's mix and write the mean of the trajectory."""
    if plan.watch is not None:
        raise InvalidPlan(
            "recipe sma averages every step and cannot take one back; leave out watch"
        )
    policy, steps, pad = prepared(plan, report)
    memory: dict[str, Any] = {}
    gradient = averaging(policy, supervised(policy, steps, pad, plan.reduction), memory)
    loss = train(policy, plan, report, gradient, memory=memory)
    join_mean(policy, plan.steps, memory)
    with torch.no_grad():
        for name, weight in trained_weights(policy):
            weight.copy_(memory["mean"][name])
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def averaging(policy: nn.Module, gradient: Gradient, memory: dict[str, Any]) -> Gradient:
    """The same gradient; before each step, the weights so far join the mean."""

    def watched(step: int, rows: int) -> Mapping[str, float]:
        join_mean(policy, step, memory)
        return gradient(step, rows)

    return watched


def join_mean(policy: nn.Module, step: int, memory: dict[str, Any]) -> None:
    """Add the weights after `step` steps, once, however often a step is tried."""
    if memory.get("joined", -1) >= step:
        return
    weights = dict(trained_weights(policy))
    if step == 0:
        memory["mean"] = {name: weight.float().clone() for name, weight in weights.items()}
    mean: dict[str, Tensor] = memory["mean"]
    for name, weight in weights.items():
        mean[name].lerp_(weight.to(mean[name]), 1 / (step + 1))
    memory["joined"] = step
