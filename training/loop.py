"""One visible loop for the recipes that train: batch, loss, step, report.

AdamW without weight decay (a short repair is not to shrink what it does not touch), gradients
clipped to norm 1. A loss or gradient that is not a number ends the run: the weights after it
would be worthless, and nothing has been written yet.
"""

import random
import time
from collections.abc import Iterator
from math import isfinite

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from holdfast.errors import TrainingFailed
from holdfast.remediation import Plan
from training.batches import Batch, Example, parts
from training.model import autocast, completion_logits
from training.objectives import completion_targets, sft_nats
from training.progress import Report
from training.schedule import rate_factor

MAX_GRADIENT_NORM = 1.0


def seed_everything(seed: int) -> None:
    """Two runs of one plan on one machine give the same bytes."""
    random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)


def train(
    policy: nn.Module, steps: Iterator[list[Example]], pad: int, plan: Plan, report: Report
) -> float:
    """Run the plan's steps on `policy` in place; returns the last step's loss in nats a token."""
    optimizer = torch.optim.AdamW(
        policy.parameters(), lr=plan.learning_rate, weight_decay=0.0, fused=True
    )
    loss = float("nan")
    for step, examples in enumerate(steps):
        began = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * rate_factor(
                step,
                steps=plan.steps,
                warmup_steps=plan.warmup_steps,
                decay_from=plan.decay_from,
            )
        tokens = sum(example.completion_tokens for example in examples)
        optimizer.zero_grad()
        loss = sum(backward(policy, part, tokens) for part in parts(examples, pad))
        norm = clip_grad_norm_(policy.parameters(), MAX_GRADIENT_NORM).item()
        if not (isfinite(loss) and isfinite(norm)):
            raise TrainingFailed(
                f"step {step + 1}: loss {loss}, gradient norm {norm}; expected finite numbers: "
                "lower the learning rate, or check the start checkpoint's weights"
            )
        optimizer.step()
        report(
            "step",
            step=step + 1,
            steps=plan.steps,
            loss=loss,
            seconds=time.monotonic() - began,
            tokens=tokens,
        )
    return loss


def backward(policy: nn.Module, part: Batch, tokens: int) -> float:
    """Add the gradient of one part of a step of `tokens`; returns its share of the step's loss."""
    where = next(policy.parameters()).device
    part = Batch(part.ids.to(where), part.attention.to(where), part.completion.to(where))
    predicts, targets = completion_targets(part.ids, part.completion)
    with autocast(where):
        logits = completion_logits(policy, part, predicts)
    loss = sft_nats(logits, targets) / tokens
    loss.backward()
    return loss.item()
