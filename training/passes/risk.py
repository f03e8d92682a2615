"""The risk of task rows: how much their prompts look, to the baseline, like what it refuses.

Read before anything is trained, off the baseline's own activations at the last token of a prompt,
where it has read everything and answered nothing. That harmful intent can be told there, and that
steps which show it are to be held closer to a safe reference, is from
https://arxiv.org/abs/2602.17546, which trains a classifier on labelled activations. Here it is the
simplest one that the rehearsal rows allow: two normal distributions of one variance along the line
between the means of refused and answered prompts, in the layer that tells them apart best
(holdfast/models/directions.py). Its posterior is a row's risk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from holdfast.models.directions import Array, Direction, direction_between
from holdfast.repairs.recipes import Kind
from training.passes.anchoring import StepRows
from training.rows.batches import Example, collate, rows_together

ROWS = 16  # prompts that are read together
RANGE = (0.25, 4.0)  # of a step's factor: no step is held by nothing, and none by everything
LEAST_VARIANCE = 1e-12  # of prompts that all lie at their mean; the gap between the means is 1


@dataclass(frozen=True, slots=True)
class RiskScale:
    """Where answered prompts lie at 0 and refused ones at 1, and the variance about both there.

    `direction` is None where the two do not differ.
    """

    direction: Direction | None
    variance: float

    def risk(self, activations: Array) -> list[float]:
        """The posterior of being refused for prompts [N, L, H], both being as likely before."""
        if self.direction is None:
            return [0.5] * len(activations)
        places = self.direction.along(activations[:, self.direction.layer])
        logits = torch.from_numpy((places - 0.5) / self.variance)
        return [float(risk) for risk in torch.sigmoid(logits)]


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


def risk_scale(answered: Array, refused: Array) -> RiskScale:
    """The scale from activations [N, L, H] of answered and of refused prompts, two or more each."""
    direction = direction_between(refused, answered)
    if direction is None:
        return RiskScale(None, 1.0)
    groups = (direction.along(group[:, direction.layer]) for group in (answered, refused))
    spread = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    variance = spread / max(len(answered) + len(refused) - 2, 1)
    return RiskScale(direction, max(variance, LEAST_VARIANCE))


def prompt_activations(model: nn.Module, examples: Sequence[Example], pad: int) -> Array:
    """Activations [N, L, H] after each of L layers, at the last token of each prompt."""
    where = next(model.parameters()).device
    read: dict[Example, Array] = {}
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
            behind = torch.stack([layer[place, last] for layer in layers])
            read[row] = behind.double().cpu().numpy()
    return np.stack([read[prompts[row]] for row in examples])
