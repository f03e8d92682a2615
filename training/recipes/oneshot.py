"""Patch the candidate with a handful of the baseline's refusals, in a few steps.

One safety example, learnt for a few epochs, may win back what a fine-tuning lost
(https://arxiv.org/abs/2601.01887), since what refusals teach lies in few directions. So every step
trains the same small batch, drawn from the refusals whose own gradient, as a step of unit length,
lowers the loss of all of them most: first-order, what the paper chooses its example by.

Differs from the paper in being a handful, with as many answered look-alikes beside it, or a small
model learns to refuse everything; `"batch_size": 1` and a mix of refusals alone is the paper's.
Knobs: `batch_size` (8) rows of `mix` (half refusals, half answers; task rows may be among them),
`oneshot.choose_from` (32), `steps` (10), `learning_rate`, `watch`.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from torch import Tensor, nn

from holdfast.repairs.plan import Plan
from training.devices.parallel import local, total
from training.progress import Report
from training.recipes.rehearsal import sources_of
from training.rows.batches import Example, cycles
from training.runs.loop import train
from training.runs.sources import watch_of
from training.runs.supervised import learn, supervised_gradient
from training.weights.model import load_policy, load_tokenizer
from training.weights.trainable import save_checkpoint, trainable


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Train on one small batch, from the candidate, and write the checkpoint."""
    counts = {kind: count for kind, count in plan.source_rows.items() if count}
    sources, pad = sources_of(plan, set(counts), report)
    watch = watch_of(plan, load_tokenizer(plan.start_checkpoint), report)
    policy = trainable(load_policy(plan.start_checkpoint), plan)
    batch: list[Example] = []
    for kind, count in counts.items():
        some = min(count, len(sources[kind]))
        if kind == "refusal":
            choice = sources[kind][: plan.oneshot.choose_from]
            batch += most_telling(policy, choice, some, pad)
        else:
            batch += islice(cycles(sources[kind], f"{plan.seed}/{kind}"), some)
    gradient = supervised_gradient(policy, [batch] * plan.steps, pad, plan.reduction)
    loss = train(policy, plan, report, gradient, watch=watch)
    save_checkpoint(policy, plan)
    return {"final_loss": loss, "rows": len(batch)}


def most_telling(
    policy: nn.Module, examples: Sequence[Example], count: int, pad: int
) -> list[Example]:
    """The `count` examples whose gradient lies furthest along that of the mean of all.

    That is g' m / |g|: by how much the loss of all falls with a step of unit length along g.
    """
    if count >= len(examples):
        return list(examples)
    mean = [part.clone() for part in gradient_of(policy, examples, pad)]
    scores = [along(gradient_of(policy, [example], pad), mean) for example in examples]
    policy.zero_grad()
    best = sorted(range(len(examples)), key=lambda place: -scores[place])[:count]
    return [examples[place] for place in sorted(best)]


def gradient_of(policy: nn.Module, examples: Sequence[Example], pad: int) -> list[Tensor]:
    """The gradient of the mean loss a row, every process's part; the next one overwrites it."""
    policy.zero_grad()
    for example in examples:
        learn(policy, [example], pad, 1, scale=1 / len(examples))
    return [local(weight.grad) for weight in policy.parameters() if weight.grad is not None]


def along(gradient: Sequence[Tensor], mean: Sequence[Tensor]) -> float:
    """The gradient's component of the mean, over all processes; 0 where there is no gradient."""
    squares = total(sum((part * part).sum().item() for part in gradient))
    products = total(
        sum((ours * theirs).sum().item() for ours, theirs in zip(gradient, mean, strict=True))
    )
    return products / squares**0.5 if squares else 0.0
