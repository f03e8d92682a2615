"""Find the ratios of a heterogeneous average by a gradient: HMA as its authors do it.

Every group of blocks has a logit s, and its ratio is a_k = K w h_k / (h_1 + ... + h_K) with
h = sigmoid(s) + floor, whose mean is the plan's w whatever the logits are. Adam moves them, the
rate falling as a cosine, so that the responses of a set become likely; the models' weights stay as
they are (https://arxiv.org/abs/2309.06256, section on HMA; the paper's formula misses the K that
the authors' code has). Where a ratio would leave [0, 1], which they let it, the nearest that does
not is taken.

Unlike theirs, every step sees the whole set, which is small, and both kinds of response count
alike; ratios that were looked at are compared on it and the best are kept, of which the uniform
ones are the first. Memory: the weights, and as much again for the gradients of those that move.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from holdfast.errors import RepairImpossible
from holdfast.repairs.knobs import Hma
from holdfast.repairs.plan import Plan
from holdfast.repairs.simplex import project
from training.merging.in_place import Mixture, mixture_of
from training.merging.layers import Grouping
from training.merging.pairing import Pair
from training.merging.scored_rows import Scored, draw_responses
from training.objectives.losses import sft_nats
from training.passes.answers import answer_logits
from training.progress import Report
from training.rows.batches import rows_together
from training.runs.loop import PART_ROWS
from training.weights.model import load_tokenizer

PASSES_A_STEP = 3  # a backward pass costs as much as two forward ones
ENDS = 2  # passes that the simplex spends on the two checkpoints and this search has no use for

Ratios = tuple[float, ...]


class Look(Protocol):
    """A function that looks at ratios."""

    def __call__(self, ratios: Ratios, *, slope: bool) -> tuple[float, Sequence[float]]:
        """Nats a token there and, where `slope` asks for it, what they change by for each ratio."""


def search(pair: Pair, plan: Plan, candidate: Path, grouping: Grouping, report: Report) -> Ratios:
    """Move the ratios to where the responses are likeliest; the best of those looked at."""
    tokenizer = load_tokenizer(plan.baseline)
    responses, pad = draw_responses(plan, tokenizer, report), tokenizer.pad_token_id or 0
    mixture = mixture_of(pair, plan, candidate)
    parameters = steered_parameters(mixture, grouping)

    def look(ratios: Ratios, *, slope: bool) -> tuple[float, Sequence[float]]:
        mixture.set_weights(grouping.weights(ratios))
        nats = backward(mixture, responses, pad, with_slope=slope)
        report("try", ratios=ratios, lost=nats)
        return nats, slopes(mixture, parameters, grouping) if slope else ()

    looked_at = dict(descend(look, grouping.groups, plan.candidate_weight, plan.hma))
    return min(looked_at, key=lambda ratios: looked_at[ratios])


def descend(look: Look, groups: int, mean: float, knobs: Hma) -> Iterator[tuple[Ratios, float]]:
    """The ratios at every step of the descent and after the last, each with its nats a token."""
    logits = torch.zeros(groups, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=knobs.learning_rate)
    steps = max(1, (knobs.tries + ENDS - 1) // PASSES_A_STEP)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(steps):
        wanted = ratios_of(logits, mean, knobs.floor)
        ratios = project(wanted.tolist(), mean)
        nats, slope = look(ratios, slope=True)
        yield ratios, nats
        optimizer.zero_grad()
        wanted.backward(torch.tensor(within_bounds(slope, ratios), dtype=wanted.dtype))
        optimizer.step()
        schedule.step()
    ratios = project(ratios_of(logits, mean, knobs.floor).tolist(), mean)
    yield ratios, look(ratios, slope=False)[0]


def ratios_of(logits: Tensor, mean: float, floor: float) -> Tensor:
    """Ratios [K] of logits [K]: their mean is `mean`, and equal logits give it to all."""
    shares = torch.sigmoid(logits) + floor
    return len(logits) * mean * shares / shares.sum()


def within_bounds(slope: Sequence[float], ratios: Ratios) -> list[float]:
    """The slope along what the ratios may do: their mean stays, and one at its bound only returns.

    Without this a ratio that is held at 1 would go on taking from the others.
    """
    free = set(range(len(ratios)))
    while True:
        level = sum(slope[k] for k in free) / max(len(free), 1)
        held = {
            k
            for k in free
            if (ratios[k] >= 1 and slope[k] < level) or (ratios[k] <= 0 and slope[k] > level)
        }
        if not held:
            return [slope[k] - level if k in free else 0.0 for k in range(len(ratios))]
        free -= held


def steered_parameters(mixture: Mixture, grouping: Grouping) -> Mapping[str, Tensor]:
    """The policy's parameters that move with a ratio of their own, by the names of the files.

    They alone are given gradients.
    """
    by_address = {weight.data_ptr(): weight for weight in mixture.policy.parameters()}
    for weight in by_address.values():
        weight.requires_grad_(False)
    parameters = {
        name: by_address[mixture.state[name].data_ptr()]
        for name in grouping.steered
        if mixture.state[name].data_ptr() in by_address  # buffers have no gradient
    }
    for weight in parameters.values():
        weight.requires_grad_(True)
    return parameters


def backward(mixture: Mixture, responses: Scored, pad: int, *, with_slope: bool) -> float:
    """Nats a token of the responses, the mean over their kinds; their gradient, where asked for."""
    mixture.policy.zero_grad()
    total = 0.0
    with torch.set_grad_enabled(with_slope):
        for examples in responses.values():
            tokens = sum(example.completion_tokens for example in examples) * len(responses)
            for rows in rows_together(examples, PART_ROWS):
                logits, targets = answer_logits(mixture.policy, [[row] for row in rows], pad)
                nats = sft_nats(logits, targets) / tokens
                if with_slope:
                    nats.backward()
                total += nats.item()
    if not isfinite(total):
        raise RepairImpossible(
            f"the responses have {total} nats a token under an average of the two, expected a "
            "finite number; check the checkpoints' weights"
        )
    return total


def slopes(mixture: Mixture, parameters: Mapping[str, Tensor], grouping: Grouping) -> list[float]:
    """The derivative of the loss by each ratio, [K]: sums of <gradient, candidate - baseline>."""
    found, group_by_name = [0.0] * grouping.groups, grouping.steered
    for name, (baseline, candidate) in mixture.alike():
        if name in parameters and (gradient := parameters[name].grad) is not None:
            moved = candidate.to(gradient) - baseline.to(gradient)
            found[group_by_name[name]] += (gradient * moved).sum().item()
    return found
