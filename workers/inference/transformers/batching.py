"""How prompts may share a batch, which is decided by what a model carries from token to token.

Keys and values can be masked place by place: such prompts are padded to one length, and the options
of a question share the computation of their prompt. A recurrent state has taken in whatever came
before, padding included, and libraries do not reorder it for other rows: those prompts go unpadded,
in groups of equal length, and every option is read behind a prompt of its own. Where a model hands
nothing back, all tokens are read again for each new one. What a model does is looked at once it is
loaded, rather than looked up by its name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

Row = TypeVar("Row")

KEYS_AND_VALUES = frozenset({DynamicLayer, DynamicSlidingWindowLayer})
# as attention and Mamba call it; not RWKV's `state`, which transformers 5.19 misreads where a batch
# has several rows
ARGUMENTS = ("past_key_values", "cache_params")


@dataclass(frozen=True, slots=True)
class CacheKind:
    """The cache that a forward pass takes over: as `argument`, or none where that is None.

    `pads`: whether rows may be padded, and their cache copied for several continuations.
    """

    argument: str | None
    pads: bool

    def inputs(
        self, mask: torch.Tensor, positions: torch.Tensor, cache: Any = None
    ) -> dict[str, Any]:
        """The inputs of a forward pass other than the tokens.

        Positions always, since not every cache counts its tokens; a mask only over padding.
        """
        masked = {"attention_mask": mask} if self.pads else {}
        cached = {} if cache is None or self.argument is None else {self.argument: cache}
        return {"position_ids": positions} | masked | cached

    def cache_of(self, output: Any) -> Any:
        """The cache for the next step, from this one's output."""
        return None if self.argument is None else output[self.argument]


@torch.inference_mode()
def cache_kind(model: Any) -> CacheKind:
    """How this model's prompts may share a batch, from what it hands back after two tokens."""
    tokens = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    output = model(input_ids=tokens, use_cache=True)
    argument = next((name for name in ARGUMENTS if output.get(name) is not None), None)
    cache = None if argument is None else output[argument]
    pads = type(cache) is DynamicCache and all(
        type(layer) in KEYS_AND_VALUES for layer in cache.layers
    )
    return CacheKind(argument, pads)


def batches_of(
    rows: Sequence[Row], length: Callable[[Row], int], max_rows: int, *, pads: bool
) -> Iterator[list[Row]]:
    """Rows of like length together, at most so many; of equal length where none may be padded."""
    batch: list[Row] = []
    for row in sorted(rows, key=length):
        if batch and (len(batch) == max_rows or not (pads or length(row) == length(batch[0]))):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def pad_start(
    rows: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids that all end in one place, and a mask that is 0 at the padding."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids.to(device), mask.to(device)


def pad_end(
    rows: Sequence[Sequence[int]], width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids that all begin in one place, and a mask that is 0 at the padding."""
    ids = torch.tensor([list(row) + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids.to(device), mask.to(device)


def positions_of(mask: torch.Tensor) -> torch.Tensor:
    """Where each token stands in its own row."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
