"""One visible loop for every recipe that trains: gradient, clip, step, report.

A recipe gives `gradient`, which adds one step's gradient to the policy and says what it saw; the
rest is the same for all of them. AdamW without weight decay (a short repair is not to shrink what
it does not touch), gradients clipped to norm 1. A loss or gradient that is not a number ends the
run: the weights after it would be worthless, and nothing has been written yet. A step that does not
fit into memory is done again in smaller parts, which changes nothing but its time; of several
processes one that did so alone would meet the others at another place, so there the run ends.

The learning rate warms up linearly, holds, and decays linearly to nearly nothing. Conservative on
purpose: what a short repair needs is small last steps, since the safety that it keeps hangs on the
rate as much as on the mix (docs/benchmarks.md).
"""

import random
import time
from collections.abc import Mapping
from math import floor, isfinite
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from holdfast.errors import RepairImpossible
from holdfast.repairs.plan import Plan
from training.devices.parallel import full_tensor
from training.devices.processes import world
from training.progress import Report
from training.runs.resume import Resume
from training.runs.watch import StepCheck

MAX_GRADIENT_NORM = 1.0
PART_ROWS = 4  # rows that go through the model together; of similar length, so little is padding


class Gradient(Protocol):
    """A function that computes a step's gradient."""

    def __call__(self, step: int, rows: int) -> Mapping[str, float]:
        """Add the gradient of `step` (from 0) to the policy's, `rows` rows at a time.

        Returns figures of the step, among them its `loss` and the completion `tokens` it counted.
        """


def seed_everything(seed: int) -> None:
    """Seed all generators, so that two runs of a plan on one machine give the same bytes."""
    random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)


def train(
    policy: nn.Module,
    plan: Plan,
    report: Report,
    gradient: Gradient,
    *,
    memory: dict[str, Any] | None = None,
    watch: StepCheck | None = None,
) -> float:
    """Run the plan's steps on `policy` in place; returns the last step's loss.

    `memory` is what the recipe itself remembers from step to step, plain values and tensors: it is
    brought back with weights and optimizer when a killed run goes on. `watch` may end the run at
    its last safe step.
    """
    memory = {} if memory is None else memory
    trained = [weight for weight in policy.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=plan.learning_rate, weight_decay=0.0, fused=True)
    resume = Resume(plan, policy, optimizer, memory)
    rows, loss = PART_ROWS, float("nan")
    for step in range(resume.first_step(report), plan.steps):
        if watch is not None and watch.should_end(policy, step, memory, report):
            break
        began = time.monotonic()
        set_rate(optimizer, plan, step)
        figures, rows = gradient_in_parts(gradient, optimizer, step, rows, report)
        norm = full_tensor(clip_grad_norm_(trained, MAX_GRADIENT_NORM)).item()
        loss = figures["loss"]
        if not (isfinite(loss) and isfinite(norm)):
            raise RepairImpossible(
                f"step {step + 1}: loss {loss}, gradient norm {norm}; expected finite numbers: "
                "lower the learning rate, or check the start checkpoint's weights"
            )
        optimizer.step()
        seconds = time.monotonic() - began
        report("step", step=step + 1, steps=plan.steps, seconds=seconds, **figures)
        resume.save(step + 1)
    else:
        if watch is not None:
            watch.should_end(policy, plan.steps, memory, report)
    return loss


def set_rate(optimizer: torch.optim.Optimizer, plan: Plan, step: int) -> None:
    """Set the learning rate of `step`."""
    factor = rate_factor(
        step, steps=plan.steps, warmup_steps=plan.warmup_steps, decay_from=plan.decay_from
    )
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate * factor


def rate_factor(step: int, *, steps: int, warmup_steps: int, decay_from: float) -> float:
    """Share of the peak learning rate at `step` (from 0) of `steps`; in (0, 1].

    `decay_from` is the share of the run after which the rate falls, to 1/n of its peak at the last
    of n decaying steps. Where a run is too short for both, the smaller of the two counts.
    """
    warming = (step + 1) / (warmup_steps + 1) if step < warmup_steps else 1.0
    decaying = steps - floor(decay_from * steps)
    falling = (steps - step) / decaying if steps - step < decaying else 1.0
    return min(warming, falling)


def gradient_in_parts(
    gradient: Gradient, optimizer: torch.optim.Optimizer, step: int, rows: int, report: Report
) -> tuple[Mapping[str, float], int]:
    """Compute a step's gradient, halving the part size whenever memory runs out."""
    while True:
        optimizer.zero_grad()
        try:
            return gradient(step, rows), rows
        except torch.OutOfMemoryError as error:
            if rows == 1 or world() > 1:
                what = "not even one row fits" if rows == 1 else "a process's rows do not fit"
                raise RepairImpossible(
                    f"step {step + 1}: {what} into the device's memory; "
                    "lower max_length, or train a lora"
                ) from error
        rows //= 2
        torch.cuda.empty_cache()
        report("note", text=f"step {step + 1}: out of memory, going on with {rows} rows at a time")
