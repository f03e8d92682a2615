"""Which part of a model a tensor belongs to, told from its name.

Blocks are numbered after `layers`, `h` or `blocks` in every family that is trained here. Groups of
blocks are contiguous, the later ones larger where the number does not divide: 26 blocks in three
groups are 1-8, 9-17, 18-26, as in https://arxiv.org/abs/2309.06256.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.errors import InvalidPlan
from holdfast.repairs.knobs import Hma
from training.merging.pairing import HEADS
from training.weights.shards import Span

BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


def block_of(name: str) -> int | None:
    """The number of the tensor's block, from 0; None for embeddings, the last norm, the head."""
    match = BLOCK.search(name)
    return int(match[1]) if match else None


def group_of(block: int, blocks: int, groups: int) -> int:
    """The group of a block, from 0."""
    return ((block + 1) * groups - 1) // blocks


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which of `groups` ratios each tensor gets; outside the blocks it is the mean of all.

    Of the tensors that are `kept` the baseline's own stay, whatever the ratios are.
    """

    groups: int
    group_by_name: Mapping[str, int | None]
    kept: frozenset[str] = frozenset()

    def weights(self, ratios: Sequence[float]) -> dict[str, float]:
        """Each tensor's weight of the candidate, at these ratios."""
        mean = sum(ratios) / len(ratios)
        averaged = {
            name: mean if group is None else ratios[group]
            for name, group in self.group_by_name.items()
        }
        return averaged | dict.fromkeys(self.kept, 0.0)

    @property
    def steered(self) -> dict[str, int]:
        """The tensors that move with a ratio of their own, each with its group."""
        return {
            name: group
            for name, group in self.group_by_name.items()
            if group is not None and name not in self.kept
        }


def grouping_of(layout: Mapping[str, Span], knobs: Hma, *, tied: bool) -> Grouping:
    """The grouping that the knobs ask of a model with these tensors.

    `tied`: its head is its embedding. Raises InvalidPlan if there are fewer blocks than groups.
    """
    block_by_name = {name: block_of(name) for name in layout}
    blocks = 1 + max((block for block in block_by_name.values() if block is not None), default=-1)
    groups = blocks if knobs.groups == "layers" else knobs.groups
    if not blocks or blocks < groups:
        raise InvalidPlan(
            f"the model has {blocks} blocks, which do not make {groups} groups; lower hma.groups"
        )
    if knobs.ratios is not None and len(knobs.ratios) != groups:
        raise InvalidPlan(
            f"the model has {blocks} blocks and hma.ratios names {len(knobs.ratios)}; give one each"
        )
    group_by_name = {
        name: None if block is None else group_of(block, blocks, groups)
        for name, block in block_by_name.items()
    }
    linear = layout.keys() if knobs.scope == "model" else linear_layers(layout, tied=tied)
    return Grouping(groups, group_by_name, frozenset(layout.keys() - linear))


def linear_layers(layout: Mapping[str, Span], *, tied: bool) -> set[str]:
    """The matrices of the blocks with their biases, and a head that is no embedding."""
    matrices = {
        name for name, span in layout.items() if block_of(name) is not None and len(span.shape) > 1
    }
    biases = {name.removesuffix("weight") + "bias" for name in matrices if name.endswith("weight")}
    heads = set() if tied else set(HEADS)
    return matrices | ((biases | heads) & layout.keys())
