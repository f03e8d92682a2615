"""A model's logits at the completion tokens of rows, and nowhere else, in the cheapest layout.

Rows that share their beginning are read as a tree (training/rows/trees.py) where that saves more
than it costs: attention grows with the square of a row, so long rows that share little stay apart
and are padded. All layouts give the same numbers but for rounding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.objectives.losses import completion_targets
from training.rows.batches import collate
from training.rows.trees import Group, Trees, plant
from training.weights.model import attention_of, autocast, completion_logits, head_sees

# whose attention takes positions and a mask as they are given; the tests hold each of them to it
TREES = frozenset({"gemma", "gemma2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3"})
MASKED = frozenset({"sdpa", "eager"})
PROJECTED = 6  # a token meets some 12 width² weights of a block, and 2 width of each token there


def answer_logits(policy: nn.Module, groups: Sequence[Group], pad: int) -> tuple[Tensor, Tensor]:
    """Logits [N, V] at the N completion tokens of all examples in turn, and those tokens [N].

    The examples of a group begin alike.
    """
    trees = cheapest(policy, groups, pad)
    where = next(policy.parameters()).device
    with autocast(where):
        if trees is not None:
            return _tree_logits(policy, trees.to(where))
        batch = collate([example for group in groups for example in group], pad).to(where)
        predicts, targets = completion_targets(batch.ids, batch.completion)
        return completion_logits(policy, batch, predicts), targets


def cheapest(policy: nn.Module, groups: Sequence[Group], pad: int) -> Trees | None:
    """The cheapest layout: one tree, a tree for each group, or None for plain padded rows."""
    config: Any = policy.config
    examples = [example for group in groups for example in group]
    longest = max(len(example.ids) for example in examples)
    if len(examples) == 1 or not grows_trees(policy, longest):
        return None
    width: int = config.hidden_size
    best, least = None, cost(len(examples), longest, width)
    for layout in (groups, [examples]):
        trees = plant(layout, pad)
        rows, length = trees.ids.shape
        if (price := cost(rows, length, width)) < least:
            best, least = trees, price
    return best


def cost(rows: int, length: int, width: int) -> int:
    """The arithmetic of one block on so many rows, in units of 4 width multiplications."""
    return rows * length * (PROJECTED * width + length)


def grows_trees(policy: nn.Module, longest: int) -> bool:
    """Whether the model's attention lets rows share their beginning; `longest` is that of a row."""
    config: Any = policy.config
    window = getattr(config, "sliding_window", None)
    if window and longest > window:
        return False
    return config.model_type in TREES and attention_of(policy) in MASKED


def _tree_logits(policy: nn.Module, trees: Trees) -> tuple[Tensor, Tensor]:
    mask = trees.sees
    if attention_of(policy) == "eager":
        least = torch.finfo(torch.float32).min
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, least)
    with head_sees(policy, (trees.rows, trees.columns)):
        logits: Tensor = policy(
            input_ids=trees.ids,
            attention_mask=mask,
            position_ids=trees.positions,
            use_cache=False,
        ).logits
    return logits, trees.targets
