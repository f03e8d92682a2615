"""Which part of a model a tensor belongs to, told from its name.

Blocks are numbered after `layers`, `h` or `blocks` in every family that is trained here. Groups of
blocks are contiguous, the later ones larger where the number does not divide: 26 blocks in three
groups are 1-8, 9-17, 18-26, as in https://arxiv.org/abs/2309.06256.
"""

import re
from collections.abc import Iterable, Sequence

from holdfast.errors import InvalidPlan

BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


def block_of(name: str) -> int | None:
    """The number of the tensor's block, from 0; None for embeddings, the last norm, the head."""
    match = BLOCK.search(name)
    return int(match[1]) if match else None


def group_of(block: int, blocks: int, groups: int) -> int:
    """The group of a block, from 0."""
    return ((block + 1) * groups - 1) // blocks


def weights_by_name(names: Iterable[str], ratios: Sequence[float]) -> dict[str, float]:
    """Each tensor's weight: the ratio of its block's group, outside the blocks the mean of all.

    Raises InvalidPlan if there are fewer blocks than ratios.
    """
    block_by_name = {name: block_of(name) for name in names}
    blocks = 1 + max((block for block in block_by_name.values() if block is not None), default=-1)
    if blocks < len(ratios):
        raise InvalidPlan(
            f"the model has {blocks} blocks, which do not make {len(ratios)} groups; "
            "lower hma.groups"
        )
    mean = sum(ratios) / len(ratios)
    return {
        name: mean if block is None else ratios[group_of(block, blocks, len(ratios))]
        for name, block in block_by_name.items()
    }
