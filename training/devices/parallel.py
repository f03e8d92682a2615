"""One run on several processes: weights are sharded over them, each takes its rows of every step.

`accelerate launch` (or torchrun) starts the processes and tells each its rank. All of them draw the
same rows from the same seed, so none has to send any; FSDP2 (torch's `fully_shard`, block by block)
gathers weights for the forward pass and means gradients over the ranks. Only the first one speaks
and writes, and what all have to decide alike, it decides: two processes that go different ways wait
for each other for ever. One process alone, which is how a worker starts a repair, shards nothing.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from holdfast.errors import NotBuilt
from holdfast.repairs.plan import Plan
from training.devices.processes import rank, world
from training.rows.batches import Example


@contextmanager
def together(plan: Plan) -> Iterator[None]:
    """Meet the other processes, if there are any; raises NotBuilt for what one has to do alone."""
    if world() == 1:
        yield
        return
    refuse(plan)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def refuse(plan: Plan) -> None:
    """Raise NotBuilt, by name, for what of a plan one process has to do alone."""
    said = {
        f"recipe {plan.recipe}": not plan.spec.shards,
        f"reduction {plan.reduction}": plan.reduction != "token_mean_global",
        "sma.checkpoints": bool(plan.sma.checkpoints),
        f"{plan.recipe} with a lora": plan.spec.bounded and plan.lora is not None,
    }
    if found := [name for name, given in said.items() if given]:
        raise NotBuilt(
            f"{found[0]} runs in one process in this version, and this run has {world()}; "
            "start it with python -m training"
        )


def shard(policy: nn.Module) -> nn.Module:
    """Spread the weights over the processes, block by block; the same object comes back."""
    if world() > 1:
        stacks = [module for module in policy.modules() if isinstance(module, nn.ModuleList)]
        for block in max(stacks, key=len):
            fully_shard(block)
        # torch would leave these whole after a forward pass, for the backward one; where a look has
        # none, what is read or put back next would be the copy and not the shards
        fully_shard(policy, reshard_after_forward=True)
    return policy


def share(examples: Sequence[Example]) -> list[Example]:
    """This process's rows of a step, as many as every other one has.

    The ranks meet in every forward pass, so where rows run out one is read again with nothing in it
    to learn.
    """
    if world() == 1:
        return list(examples)
    mine = list(examples[rank() :: world()])
    idle = replace(examples[0], prompt_tokens=len(examples[0].ids))
    return mine + [idle] * (ceil(len(examples) / world()) - len(mine))


def own_places(count: int) -> tuple[list[int], int]:
    """This process's places of `count`, as many as every other one has, and how many of them count.

    Those that do not are there to keep step.
    """
    mine = list(range(rank(), count, world()))
    return mine + [0] * (ceil(count / world()) - len(mine)), len(mine)


def together_again(mine: Tensor, count: int) -> Tensor:
    """[count, …] in the order of all places, from [n, …] of each process in that of its own."""
    if world() == 1:
        return mine
    held = mine.to(_device())
    found = [torch.empty_like(held) for _ in range(world())]
    distributed.all_gather(found, held)
    return torch.stack(found, dim=1).flatten(0, 1)[:count].to(mine.device)


def total(number: float) -> float:
    """The sum over all processes."""
    if world() == 1:
        return number
    summed = torch.tensor(number, dtype=torch.float64, device=_device())
    distributed.all_reduce(summed)
    return summed.item()


def agreed(number: float) -> float:
    """The first process's number, for what all decide by it."""
    if world() == 1:
        return number
    told = torch.tensor(number, dtype=torch.float64, device=_device())
    distributed.broadcast(told, 0)
    return told.item()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def gathered(tensor: Tensor) -> Tensor:
    """The whole of what may lie in shards."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's part of what may lie in shards; gradients find their way back."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def placed(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, which every process has, in shards as `like` is, where that is."""
    if not isinstance(like, DTensor):
        return tensor
    here = tensor.to(like.device)
    return distribute_tensor(here, like.device_mesh, like.placements, src_data_rank=None)


def whole(value: Any) -> Any:
    """Dictionaries and lists with their tensors whole; of those in shards, in the first one alone.

    One after the other, so that no process ever holds more than one that it does not keep.
    """
    match value:
        case dict():
            return {key: whole(one) for key, one in value.items()}
        case list():
            return [whole(one) for one in value]
        case DTensor():
            full = value.full_tensor()
            return full.cpu() if rank() == 0 else None
    return value


def placed_like(value: Any, like: dict[str, Tensor]) -> Any:
    """The way back: tensors named as one of `like`, and of its shape, in shards as that is."""
    if not isinstance(value, dict):
        return value
    return {
        key: placed(one, like[key])
        if isinstance(one, Tensor) and key in like and one.shape == like[key].shape
        else placed_like(one, like)
        for key, one in value.items()
    }


def whole_state(policy: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the policy; where it lies in shards, in the first process alone."""
    if not any(isinstance(weight, DTensor) for weight in policy.parameters()):
        return policy.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Tensor] = get_model_state_dict(policy, options=options)  # type: ignore[assignment]
    return state
