"""Hold a policy to its baseline on some rows while it learns from others, for two recipes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from holdfast.errors import InvalidPlan
from training.devices.parallel import share, total
from training.devices.processes import world
from training.objectives.divergences import sequence_weights
from training.passes.trusted import Reference, logits_of
from training.rows.batches import Example, rows_together

StepRows = tuple[list[Example], list[Example]]
"""A step's task rows, and those on which the policy is held to the baseline."""


def divide_steps(steps: Sequence[Sequence[Example]], task: Sequence[Example]) -> list[StepRows]:
    """Split each step into task rows and rehearsal rows; InvalidPlan if a step lacks either."""
    learnt = set(task)
    step_rows = [
        ([row for row in step if row in learnt], [row for row in step if row not in learnt])
        for step in steps
    ]
    for number, (ours, anchored) in enumerate(step_rows, start=1):
        if not (ours and anchored):
            kind = "rehearsal" if ours else "task"
            raise InvalidPlan(
                f"step {number} draws no {kind} row, and every step needs both kinds; "
                "raise batch_size, or that share of the mix"
            )
    return step_rows


def pull(
    policy: nn.Module,
    examples: Sequence[Example],
    reference: Reference,
    divergence: Callable[[Tensor, Tensor], Tensor],
    *,
    rows: int,
    scale: float,
) -> float:
    """Add `scale` times the gradient of the divergence; returns it, unscaled.

    That is the mean over rows of the mean over their tokens. At a scale of 0 it is only measured.
    """
    nats = 0.0
    for group in rows_together(share(examples), rows):
        counted = [example for example in group if example.completion_tokens]
        with torch.set_grad_enabled(scale > 0):
            logits, _ = logits_of(policy, group, reference.pad)
            reference_logits = (
                reference.logits(counted, logits.device) if counted else logits.detach()
            )
            lengths = [example.completion_tokens for example in counted]
            weights = sequence_weights(lengths, len(examples)).to(logits.device)
            mean = divergence(logits, reference_logits) @ weights
        if scale > 0:
            (scale * world() * mean).backward()
        nats += mean.item()
    return total(nats)
