"""Rows that begin alike, laid out so that their common beginning goes through a model once.

Every row of a chat begins with the same system turn, and both answers of a pair follow the same
prompt. So some rows become one: a tree of tokens in depth-first order, where each token sees those
on its path from the root and counts its position along it. That is the arithmetic of rows of their
own, less what would be computed again, and less the padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from training.rows.batches import Example

Group = Sequence[Example]


@dataclass(frozen=True, slots=True)
class Trees:
    """One tree a row, padded on the right; padding sees itself and is seen by nothing else.

    ids, positions: [B, T] int64; ends: [B, T] int64, where the part of the row ends that sees a
    token; rows, columns, targets: [N] int64, example by example, one for each completion token:
    where it is predicted, and which token it is.
    """

    ids: Tensor
    positions: Tensor
    ends: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor

    def to(self, where: torch.device) -> "Trees":
        """The same on another device."""
        return Trees(*(getattr(self, name).to(where) for name in self.__dataclass_fields__))

    @property
    def sees(self) -> Tensor:
        """[B, 1, T, T] bool: whether position i sees position j."""
        order = torch.arange(self.ids.shape[1], device=self.ids.device)
        after = order[:, None] >= order
        return (after & (order[:, None] < self.ends[:, None, :]))[:, None]


def plant(groups: Sequence[Group], pad: int) -> Trees:
    """Lay out each group as one tree of tokens, padded to a common width."""
    trees = [_tree(group) for group in groups]
    width = max(len(ids) for ids, _, _, _ in trees)
    ids, positions, ends = [], [], []
    rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    for b, (group, tree) in enumerate(zip(groups, trees, strict=True)):
        gap = width - len(tree[0])
        ids.append(tree[0] + [pad] * gap)
        positions.append(tree[1] + [0] * gap)
        ends.append(tree[2] + list(range(width - gap + 1, width + 1)))
        for example, path in zip(group, tree[3], strict=True):
            rows += [b] * example.completion_tokens
            columns += path[example.prompt_tokens - 1 : -1]
            targets += example.ids[example.prompt_tokens :]
    return Trees(*(torch.tensor(field) for field in (ids, positions, ends, rows, columns, targets)))


def _tree(group: Group) -> tuple[list[int], list[int], list[int], list[list[int]]]:
    """Tokens, positions and ends of a group's tree, and each example's path through it.

    In the order of their tokens, an example has in common with all before it what it has in common
    with the last of them, and what follows is new.
    """
    ids: list[int] = []
    positions: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = [[] for _ in group]
    before: tuple[int, ...] = ()
    path: list[int] = []
    for k in sorted(range(len(group)), key=lambda k: group[k].ids):
        tokens = group[k].ids
        alike = takewhile(lambda two: two[0] == two[1], zip(before, tokens, strict=False))
        shared = sum(1 for _ in alike)
        for place in path[shared:]:
            ends[place] = len(ids)
        begin = len(ids)
        ids += tokens[shared:]
        positions += range(shared, len(tokens))
        ends += [0] * (len(tokens) - shared)
        path = path[:shared] + list(range(begin, len(ids)))
        before, paths[k] = tokens, path
    for place in path:
        ends[place] = len(ids)
    return ids, positions, ends, paths
