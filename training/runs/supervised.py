"""The gradient of supervised fine-tuning, as every recipe that trains on rows shares it.

The loss of a step is by default the mean over all of its completion tokens, however it is cut into
parts: each part's nats are divided by the tokens of the whole step.
"""

from collections.abc import Mapping, Sequence

from torch import nn

from holdfast.repairs.plan import Reduction
from training.devices.parallel import share, total
from training.devices.processes import world
from training.objectives.losses import nats_weights, sft_nats
from training.passes.answers import answer_logits
from training.rows.batches import Example, rows_together
from training.runs.loop import Gradient


def supervised_gradient(
    policy: nn.Module,
    steps: Sequence[Sequence[Example]],
    pad: int,
    reduction: Reduction = "token_mean_global",
) -> Gradient:
    """The gradient of the mean negative log-likelihood of each step's completions."""

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
    tokens = _tokens(examples)
    groups = rows_together(share(examples), rows)
    if world() > 1:
        weights = [1 / tokens] * len(groups)
    else:
        weights = nats_weights([(len(group), _tokens(group)) for group in groups], reduction)
    weighed = list(zip(groups, weights, strict=True))
    mean = world()  # by which FSDP divides the sum of the processes' gradients
    loss = sum(
        backward(policy, group, pad, scale * weight * mean) * weight for group, weight in weighed
    )
    return {"loss": total(loss), "tokens": tokens}


def _tokens(examples: Sequence[Example]) -> int:
    return sum(example.completion_tokens for example in examples)


def backward(policy: nn.Module, examples: Sequence[Example], pad: int, weight: float) -> float:
    """Add the gradient of `weight` times the nats of examples that go together; returns them."""
    nats = sft_nats(*answer_logits(policy, [[example] for example in examples], pad))
    (nats * weight).backward()
    return nats.item()
