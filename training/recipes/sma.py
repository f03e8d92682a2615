"""Rehearse, and ship the mean of all weights on the way instead of the last ones: SMA.

The simple moving average of a trajectory forgets less than its end, for one more copy of the
weights (https://arxiv.org/abs/2309.06256 compares with it). With `sma.decay` the mean is
exponential (https://arxiv.org/abs/2508.12531), so that the last steps count most. Knobs are those
of `rehearsal`, from which it differs in the last line alone. The mean is kept in fp32 and begins
with the start's own weights; a killed run goes on with it. Not with `watch`: a step that a watch
takes back would stay in the mean.

Where `sma.checkpoints` names folders, they are the trajectory, and nothing is trained: their mean
is streamed, a tensor of each at a time, summed in fp32 and rounded once. Rounding can undo it where
they hardly differ from the start, which is refused as it is for every merge.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.merging.averaging import check_ratio
from training.merging.pairing import pair_up, require_same_names
from training.merging.streaming import Move, move_of, read_alike, write_tensors
from training.progress import Report
from training.recipes.rehearsal import prepare
from training.runs.loop import Gradient, train
from training.runs.supervised import supervised_gradient
from training.weights.model import trained_weights
from training.weights.output import atomic_checkpoint, refuse_existing
from training.weights.trainable import save_checkpoint


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Train on the plan's mix, unless it names a trajectory, and write the mean."""
    if plan.sma.checkpoints:
        return average_of(plan, report)
    if plan.watch is not None:
        raise InvalidPlan(
            "recipe sma averages every step and cannot take one back; leave out watch"
        )
    policy, steps, pad = prepare(plan, report)
    memory: dict[str, Any] = {}
    gradient = averaging_gradient(
        policy, supervised_gradient(policy, steps, pad, plan.reduction), memory, plan.sma.decay
    )
    loss = train(policy, plan, report, gradient, memory=memory)
    join_mean(policy, plan.steps, memory, plan.sma.decay)
    with torch.no_grad():
        for name, weight in trained_weights(policy):
            weight.copy_(memory["mean"][name])
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def averaging_gradient(
    policy: nn.Module, gradient: Gradient, memory: dict[str, Any], decay: float | None
) -> Gradient:
    """The gradient, after adding the weights before each step to the running mean."""

    def watched(step: int, rows: int) -> Mapping[str, float]:
        join_mean(policy, step, memory, decay)
        return gradient(step, rows)

    return watched


def join_mean(
    policy: nn.Module, step: int, memory: dict[str, Any], decay: float | None = None
) -> None:
    """Add the weights after `step` steps, once, however often a step is tried."""
    if memory.get("joined", -1) >= step:
        return
    weights = dict(trained_weights(policy))
    if step == 0:
        memory["mean"] = {name: weight.float().clone() for name, weight in weights.items()}
    mean: dict[str, Tensor] = memory["mean"]
    part = 1 / (step + 1) if decay is None else 1 - decay
    for name, weight in weights.items():
        mean[name].lerp_(weight.to(mean[name]), part)
    memory["joined"] = step


def average_of(plan: Plan, report: Report) -> dict[str, Any]:
    """Write the mean of the checkpoints that the plan names, laid out as its start checkpoint."""
    refuse_existing(plan.output)
    if len(plan.sma.checkpoints) < 2:
        raise InvalidPlan("sma.checkpoints names one checkpoint; a mean takes two at least")
    start = plan.start_checkpoint
    pairs = [pair_up(start, folder, start) for folder in plan.sma.checkpoints]
    require_same_names(pairs)
    layout, moves = pairs[0].layout, Move()

    def means() -> Iterator[tuple[str, Tensor]]:
        nonlocal moves
        folders = (start, *plan.sma.checkpoints)
        spans = (pairs[0].baseline, *(pair.candidate for pair in pairs))
        for name, (ours, *theirs) in read_alike(folders, spans):
            if not ours.is_floating_point():
                yield name, theirs[-1]
                continue
            exact = mean_of(theirs)
            stored = exact.to(torch.float32 if plan.store == "fp32" else ours.dtype)
            moves += move_of(ours.reshape(-1), exact.reshape(-1), stored.reshape(-1))
            yield name, stored

    with atomic_checkpoint(plan) as folder:
        write_tensors(layout, folder, means(), fp32=plan.store == "fp32")
        check_ratio(moves, 1.0)
    report("note", text=f"the mean of {len(pairs)} checkpoints")
    ratio = moves.projection / moves.squared_distance if moves.squared_distance else None
    return {"final_loss": None, "effective_ratio": ratio, "checkpoints": len(pairs)}


def mean_of(tensors: list[Tensor]) -> Tensor:
    """The mean of tensors of one shape, in fp32, or in fp64 where they are."""
    widest = max((tensor.dtype for tensor in tensors), key=lambda dtype: dtype.itemsize)
    exact = torch.promote_types(widest, torch.float32)
    total = tensors[0].to(exact, copy=True)
    for tensor in tensors[1:]:
        total += tensor.to(exact)
    return total.div_(len(tensors))
