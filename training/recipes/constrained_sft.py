"""Learn the task again, but the first tokens of an answer no further than the baseline believed.

Qi et al. 2024, https://arxiv.org/abs/2406.05946: alignment lives in the first few tokens, so each
token's loss is bent by a beta of its own, -(2 / beta) log sigmoid(beta (log p - log p_0)). Where
beta is large, a token that is likelier than the baseline had it teaches little, and one that has
become less likely is pulled back up to twice as hard. It is averaged over all tokens of a step, as
the plain loss is, and its gradient is the plain one at the baseline. Rows are those of `rehearsal`;
with a mix of task rows alone it needs no safety data. Knobs (`constrained`): `first` (0.5), `early`
(2), `early_tokens` (5), `later` (0.1).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.repairs.knobs import Constrained
from holdfast.repairs.plan import Plan
from training.devices.parallel import share, total
from training.devices.processes import world
from training.merging.pairing import refuse_another_architecture
from training.objectives.penalties import betas_of, constrained_sft
from training.passes.trusted import logits_of, token_log_probs
from training.progress import Report
from training.recipes.rehearsal import steps_of_mix
from training.rows.batches import Example, rows_together
from training.runs.loop import Gradient, train
from training.runs.sources import watch_of
from training.weights.model import load_policy, load_tokenizer
from training.weights.trainable import save_checkpoint, trainable


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Train with the constrained loss on the plan's mix and write the checkpoint."""
    refuse_another_architecture(plan)
    steps, pad = steps_of_mix(plan, report)
    watch = watch_of(plan, load_tokenizer(plan.start_checkpoint), report)
    believed = token_log_probs(plan.baseline, [row for step in steps for row in step], pad)
    policy = trainable(load_policy(plan.start_checkpoint), plan)
    gradient = constrained_gradient(policy, steps, believed, pad, plan.constrained)
    loss = train(policy, plan, report, gradient, watch=watch)
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def constrained_gradient(
    policy: nn.Module,
    steps: Sequence[Sequence[Example]],
    believed: Mapping[Example, Tensor],
    pad: int,
    knobs: Constrained,
) -> Gradient:
    """The gradient of the constrained loss, the mean over a step's tokens.

    `loss` is the plain one, in nats a token, so that it can be compared; `constrained` the other.
    """

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        tokens = sum(example.completion_tokens for example in steps[step])
        nats = bent = 0.0
        for group in rows_together(share(steps[step]), rows):
            logits, targets = logits_of(policy, group, pad)
            ours = logits.float().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
            counted = [example for example in group if example.completion_tokens]
            theirs = torch.cat(
                [ours.new_empty(0), *(believed[example].to(ours) for example in counted)]
            )
            betas = betas_of([example.completion_tokens for example in group], knobs)
            loss = constrained_sft(ours, theirs, betas.to(ours.device)).sum() / tokens
            (world() * loss).backward()
            bent += loss.item()
            nats -= ours.sum().item()
        return {"loss": total(nats) / tokens, "constrained": total(bent), "tokens": tokens}

    return gradient
