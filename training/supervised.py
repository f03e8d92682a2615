"""The gradient of supervised fine-tuning, as every recipe that trains on rows shares it.

The loss of a step is by default the mean over all of its completion tokens, however it is cut into
parts: each part's nats are divided by the tokens of the whole step.
"""

from collections.abc import Mapping, Sequence

from torch import nn

from holdfast.remediation import Reduction
from training.batches import Batch, Example, parts
from training.loop import Gradient
from training.model import autocast, completion_logits
from training.objectives import completion_targets, nats_weights, sft_nats
from training.parallel import share, total, world


def supervised(
    policy: nn.Module,
    steps: Sequence[Sequence[Example]],
    pad: int,
    reduction: Reduction = "token_mean_global",
) -> Gradient:
    """Of each step, the mean negative log-likelihood of its examples' completions."""

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        return learn(policy, steps[step], pad, rows, reduction=reduction)

    return gradient


def learn(
    policy: nn.Module,
    examples: Sequence[Example],
    pad: int,
    rows: int,
    *,
    scale: float = 1.0,
    reduction: Reduction = "token_mean_global",
) -> dict[str, float]:
    """Add `scale` times the gradient of the examples' loss; returns that loss, unscaled."""
    tokens = sum(example.completion_tokens for example in examples)
    batches = parts(share(examples), pad, rows)
    if world() > 1:
        weights = [1 / tokens] * len(batches)
    else:
        sizes = [(len(batch.ids), int(batch.completion.sum())) for batch in batches]
        weights = nats_weights(sizes, reduction)
    weighed = list(zip(batches, weights, strict=True))
    mean = world()  # by which FSDP divides the sum of the processes' gradients
    loss = sum(backward(policy, batch, scale * weight * mean) * weight for batch, weight in weighed)
    return {"loss": total(loss), "tokens": tokens}


def backward(policy: nn.Module, part: Batch, weight: float) -> float:
    """Add the gradient of `weight` times one part's nats; returns the nats."""
    part = part.to(next(policy.parameters()).device)
    predicts, targets = completion_targets(part.ids, part.completion)
    with autocast(part.ids.device):
        logits = completion_logits(policy, part, predicts)
    nats = sft_nats(logits, targets)
    (nats * weight).backward()
    return nats.item()
