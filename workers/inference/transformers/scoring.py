"""Log-probabilities of continuations under a loaded model, batch by batch.

Where rows may be padded, the continuations of one prompt share the computation of the prompt: its
keys and values are copied for each of them. Else prompt and continuation are read together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from holdfast.probes.engine import Score
from workers.inference.transformers.batching import (
    CacheKind,
    batches_of,
    pad_end,
    pad_start,
    positions_of,
)

BATCH_ROWS = 8
SCORE_TOKENS = 512  # of continuations in a batch: their logits are a float each of the vocabulary
PROMPT_TOKENS = 2048  # of the prompts in a batch: their keys and values are kept for each of those

Continuations = list[tuple[int, list[int]]]  # index and token ids, all of one prompt
ByPrompt = dict[tuple[int, ...], Continuations]


@dataclass(frozen=True, slots=True)
class FullRow:
    """Prompt and continuation together; the last `tokens` of `ids` are the continuation's."""

    index: int
    ids: list[int]
    tokens: int


@torch.inference_mode()
def scores(model: Any, kind: CacheKind, by_prompt: ByPrompt) -> Iterator[tuple[int, Score]]:
    """Score every continuation once, as (index, score)."""
    if not kind.pads:
        yield from _scores_of_full_rows(model, kind, by_prompt)
        return
    for batch in _score_batches(by_prompt):
        sums = _shared_prompts(
            model, [(prompt, [ids for _, ids in rows]) for prompt, rows in batch]
        )
        flat = [row for _, rows in batch for row in rows]
        for (index, ids), (total, greedy) in zip(flat, sums, strict=True):
            yield index, Score(total, len(ids), greedy)


@torch.inference_mode()
def continuation_logits(
    model: Any, kind: CacheKind, rows: Sequence[FullRow]
) -> Iterator[tuple[FullRow, torch.Tensor]]:
    """Every row with its logits [tokens, vocabulary] where each of its continuation is chosen."""
    for batch in batches_of(rows, lambda row: len(row.ids), BATCH_ROWS, pads=kind.pads):
        ids, mask = pad_start([row.ids for row in batch], model.device)
        logits = model(
            input_ids=ids,
            use_cache=False,
            logits_to_keep=max(row.tokens for row in batch) + 1,
            **kind.inputs(mask, positions_of(mask)),
        ).logits
        for row, steps in zip(batch, logits, strict=True):
            yield row, steps[-row.tokens - 1 : -1]


def _scores_of_full_rows(
    model: Any, kind: CacheKind, by_prompt: ByPrompt
) -> Iterator[tuple[int, Score]]:
    rows = [
        FullRow(index, [*prompt, *ids], len(ids))
        for prompt, continuations in by_prompt.items()
        for index, ids in continuations
    ]
    for row, logits in continuation_logits(model, kind, rows):
        steps = logits.float().log_softmax(-1)
        targets = torch.tensor(row.ids[-row.tokens :], device=steps.device)
        total = steps.gather(-1, targets[:, None]).double().sum()
        greedy = bool((steps.argmax(-1) == targets).all())
        yield row.index, Score(float(total), row.tokens, greedy)


def _shared_prompts(
    model: Any, rows_by_prompt: list[tuple[tuple[int, ...], list[list[int]]]]
) -> list[tuple[float, bool]]:
    """Summed log-probability of every continuation, prompts in order, and if it is greedy."""
    device = model.device
    ids, mask = pad_start([prompt for prompt, _ in rows_by_prompt], device)
    positions = positions_of(mask)
    owner = torch.tensor(
        [at for at, (_, rows) in enumerate(rows_by_prompt) for _ in rows], device=device
    )
    flat = [row for _, rows in rows_by_prompt for row in rows]
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        use_cache=True,
        logits_to_keep=1,
    )
    first = torch.tensor([row[0] for row in flat], device=device)
    start = out.logits[:, -1].float().log_softmax(-1)
    sums = start[owner, first].double()
    greedy = start.argmax(-1)[owner] == first
    width = max(len(row) for row in flat) - 1
    if width > 0:
        out.past_key_values.batch_select_indices(owner)
        inputs, real = pad_end([row[:-1] for row in flat], width, device)
        targets, _ = pad_end([row[1:] for row in flat], width, device)
        places = torch.arange(1, width + 1, device=device)
        logits = model(
            input_ids=inputs,
            attention_mask=torch.cat([mask[owner], real], dim=-1),
            position_ids=positions[owner, -1:] + places,
            past_key_values=out.past_key_values,
            use_cache=True,
        ).logits
        steps = logits.float().log_softmax(-1)
        rest = steps.gather(-1, targets[:, :, None])[:, :, 0]
        sums += torch.where(real.bool(), rest, 0.0).double().sum(-1)
        greedy &= ((steps.argmax(-1) == targets) | ~real.bool()).all(-1)
    return list(zip(sums.tolist(), greedy.tolist(), strict=True))


def _score_batches(by_prompt: ByPrompt) -> Iterator[list[tuple[tuple[int, ...], Continuations]]]:
    """Prompts of like length together, up to so many padded tokens of them and continuations."""
    batch: list[tuple[tuple[int, ...], Continuations]] = []
    rows = width = 0
    for prompt, continuations in sorted(by_prompt.items(), key=lambda pair: len(pair[0])):
        longest = max(len(ids) for _, ids in continuations)
        prompts = (len(batch) + 1) * len(prompt)
        scored = (rows + len(continuations)) * max(width, longest)
        if batch and (scored > SCORE_TOKENS or prompts > PROMPT_TOKENS):
            yield batch
            batch, rows, width = [], 0, 0
        batch.append((prompt, continuations))
        rows, width = rows + len(continuations), max(width, longest)
    if batch:
        yield batch
