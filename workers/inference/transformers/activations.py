"""Activations of a loaded model over a conversation, and the size of the gradient of an answer.

Activations are the residual stream behind each block (for the last one, behind the final norm): at
the last token of the prompt, where the answer is about to begin, and as the mean over the answer's
own tokens. The self-influence of a row is the squared norm of its loss's gradient over all weights,
<g, g>, the first-order change of its own loss in a step on it (Pruthi et al. 2020, TracIn; arXiv
2505.06843). Each weight's gradient is dropped as soon as it has been counted, so that the whole of
it is never held.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from workers.inference.transformers.batching import (
    CacheKind,
    batches_of,
    pad_start,
    positions_of,
)
from workers.inference.transformers.scoring import FullRow

ROWS = 16

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Activations:
    """Each [layers, width]: at the prompt's last token, and over the answer in the mean."""

    prompt: Array
    answer: Array


@torch.inference_mode()
def activations_of(
    model: Any, kind: CacheKind, rows: Sequence[FullRow], layers: Sequence[int] | None = None
) -> Iterator[tuple[FullRow, Activations]]:
    """Every row once, with its activations behind these blocks, or behind all of them."""
    for batch in batches_of(rows, lambda row: len(row.ids), ROWS, pads=kind.pads):
        ids, mask = pad_start([row.ids for row in batch], model.device)
        states = model(
            input_ids=ids,
            use_cache=False,
            output_hidden_states=True,
            logits_to_keep=1,
            **kind.inputs(mask, positions_of(mask)),
        ).hidden_states[1:]
        chosen = range(len(states)) if layers is None else layers
        for at, row in enumerate(batch):
            prompts = [states[layer][at, -row.tokens - 1] for layer in chosen]
            answers = [states[layer][at, -row.tokens :].float().mean(0) for layer in chosen]
            yield row, Activations(_array(prompts), _array(answers))


def self_influence(model: Any, kind: CacheKind, row: FullRow) -> float:
    """The squared norm of the gradient of the row's mean loss in nats a token of its answer."""
    squares: list[float] = []

    def count(weight: torch.Tensor) -> None:
        if weight.grad is not None:
            squares.append(float(weight.grad.float().square().sum()))
            weight.grad = None

    handles = [
        weight.register_post_accumulate_grad_hook(count)
        for weight in model.parameters()
        if weight.requires_grad
    ]
    try:
        with torch.enable_grad():
            loss_of(model, kind, row).backward()
    finally:
        for handle in handles:
            handle.remove()
    return sum(squares)


def loss_of(model: Any, kind: CacheKind, row: FullRow) -> torch.Tensor:
    """The mean of -log p over the tokens of the row's answer, a scalar."""
    ids, mask = pad_start([row.ids], model.device)
    logits = model(
        input_ids=ids,
        use_cache=False,
        logits_to_keep=row.tokens + 1,
        **kind.inputs(mask, positions_of(mask)),
    ).logits[0, -row.tokens - 1 : -1]
    return functional.cross_entropy(logits.float(), ids[0, -row.tokens :])


def _array(rows: list[torch.Tensor]) -> Array:
    return torch.stack(rows).double().cpu().numpy()
