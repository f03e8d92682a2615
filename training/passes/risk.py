"""The risk of task rows: how much their prompts look, to the baseline, like what it refuses.

Read before anything is trained, off the baseline's own activations at the last token of a prompt,
where it has read everything and answered nothing. That harmful intent can be told there, and that
steps which show it are to be held closer to a safe reference, is from
https://arxiv.org/abs/2602.17546, which trains a classifier on labelled activations. Here it is the
simplest one that the rehearsal rows allow: two normal distributions of one variance along the line
between the means of refused and answered prompts, in the layer that tells them apart best. Its
posterior is a row's risk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp

import torch
from torch import Tensor, nn

from holdfast.repairs.recipes import Kind
from training.passes.anchoring import StepRows
from training.rows.batches import Example, collate, rows_together

ROWS = 16  # prompts that are read together
RANGE = (0.25, 4.0)  # of a step's factor: no step is held by nothing, and none by everything


@dataclass(frozen=True, slots=True)
class RiskScale:
    """A layer, a direction [H] in it, and the two means and the variance along that direction."""

    layer: int
    direction: Tensor
    answered: float
    refused: float
    variance: float

    def risk(self, activations: Tensor) -> list[float]:
        """The posterior of being refused for prompts [N, L, H], both being as likely before."""
        along = activations[:, self.layer] @ self.direction
        middle, gap = (self.answered + self.refused) / 2, self.refused - self.answered
        return [logistic(gap * (place - middle) / self.variance) for place in along.tolist()]


def risk_factors(
    baseline: nn.Module,
    steps: Sequence[StepRows],
    sources: Mapping[Kind, Sequence[Example]],
    pad: int,
) -> list[float]:
    """By what the weight of the divergence is multiplied in each step: its risk over the mean risk.

    So a run is held as strongly as without, but where its risk lies.
    """
    scale = risk_scale(
        prompt_activations(baseline, sources["answer"], pad),
        prompt_activations(baseline, sources["refusal"], pad),
    )
    tasks = list(dict.fromkeys(row for task, _ in steps for row in task))
    risks = dict(zip(tasks, scale.risk(prompt_activations(baseline, tasks, pad)), strict=True))
    of_steps = [sum(risks[row] for row in task) / len(task) for task, _ in steps]
    mean, (least, most) = sum(of_steps) / len(of_steps), RANGE
    return [min(max(risk / mean, least), most) if mean > 0 else 1.0 for risk in of_steps]


def risk_scale(answered: Tensor, refused: Tensor) -> RiskScale:
    """The scale from activations [N, L, H] of answered and of refused prompts, two or more of each.

    The layer is that of the largest gap between the means, in standard deviations along it.
    """
    best: tuple[float, RiskScale] | None = None
    for layer in range(answered.shape[1]):
        difference = refused[:, layer].mean(0) - answered[:, layer].mean(0)
        length = difference.norm()
        direction = difference / length.clamp_min(torch.finfo(difference.dtype).tiny)
        along = [group[:, layer] @ direction for group in (answered, refused)]
        spread = sum(((group - group.mean()) ** 2).sum().item() for group in along)
        variance = spread / max(len(answered) + len(refused) - 2, 1)
        variance = max(variance, torch.finfo(difference.dtype).eps)
        found = RiskScale(
            layer, direction, along[0].mean().item(), along[1].mean().item(), variance
        )
        separation = length.item() / variance**0.5
        if best is None or separation > best[0]:
            best = separation, found
    if best is None:
        raise ValueError("activations of no layer, expected at least one")
    return best[1]


def prompt_activations(model: nn.Module, examples: Sequence[Example], pad: int) -> Tensor:
    """Activations [N, L, H] fp32 after each of L layers, at the last token of each prompt."""
    where = next(model.parameters()).device
    read: dict[Example, Tensor] = {}
    prompts = {row: replace(row, ids=row.ids[: row.prompt_tokens]) for row in examples}
    for group in rows_together(list(prompts.values()), ROWS):
        batch = collate(group, pad).to(where)
        with torch.no_grad():
            layers = model(
                input_ids=batch.ids,
                attention_mask=batch.attention,
                use_cache=False,
                output_hidden_states=True,
            ).hidden_states[1:]
        for place, row in enumerate(group):
            last = row.prompt_tokens - 1
            read[row] = torch.stack([layer[place, last].float().cpu() for layer in layers])
    return torch.stack([read[prompts[row]] for row in examples])


def logistic(value: float) -> float:
    """1 / (1 + exp(-value)), without overflow."""
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))
