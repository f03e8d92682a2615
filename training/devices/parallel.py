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
def process_group(plan: Plan) -> Iterator[None]:
    """Join the run's other processes; NotBuilt for a plan that one process must run alone."""
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
    """Raise NotBuilt if the plan holds anything that must run in a single process, and name it."""
    reasons = {
        f"recipe {plan.recipe}": not plan.spec.shards,
        f"reduction {plan.reduction}": plan.reduction != "token_mean_global",
        "sma.checkpoints": bool(plan.sma.checkpoints),
        f"{plan.recipe} with a lora": plan.spec.bounded and plan.lora is not None,
    }
    if applicable := [name for name, applies in reasons.items() if applies]:
        raise NotBuilt(
            f"{applicable[0]} runs in one process in this version, and this run has {world()}; "
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


def rank_places(count: int) -> tuple[list[int], int]:
    """This process's indices of `count` items, padded to equal length, and how many are real.

    The rest only keep the processes in step.
    """
    mine = list(range(rank(), count, world()))
    return mine + [0] * (ceil(count / world()) - len(mine)), len(mine)


def gather_in_order(mine: Tensor, count: int) -> Tensor:
    """Gather each process's rows [n, …] into one tensor [count, …] in the original order."""
    if world() == 1:
        return mine
    held = mine.to(_device())
    parts = [torch.empty_like(held) for _ in range(world())]
    distributed.all_gather(parts, held)
    return torch.stack(parts, dim=1).flatten(0, 1)[:count].to(mine.device)


def total(number: float) -> float:
    """The sum over all processes."""
    if world() == 1:
        return number
    summed = torch.tensor(number, dtype=torch.float64, device=_device())
    distributed.all_reduce(summed)
    return summed.item()


def from_first_rank(number: float) -> float:
    """The first process's number on every process, so that all decide alike."""
    if world() == 1:
        return number
    shared = torch.tensor(number, dtype=torch.float64, device=_device())
    distributed.broadcast(shared, 0)
    return shared.item()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def full_tensor(tensor: Tensor) -> Tensor:
    """The complete tensor, gathered from its shards if it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's shard of the tensor, or all of it; gradients flow back through it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor that every process has, sharded as `like` is; unchanged if `like` is not."""
    if not isinstance(like, DTensor):
        return tensor
    here = tensor.to(like.device)
    return distribute_tensor(here, like.device_mesh, like.placements, src_data_rank=None)


def gather_shards(value: Any) -> Any:
    """Nested dicts and lists with sharded tensors gathered; other ranks than 0 get None for these.

    One after the other, so that no process ever holds more than one that it does not need.
    """
    match value:
        case dict():
            return {key: gather_shards(item) for key, item in value.items()}
        case list():
            return [gather_shards(item) for item in value]
        case DTensor():
            full = value.full_tensor()
            return full.cpu() if rank() == 0 else None
    return value


def shard_values_like(value: Any, like: dict[str, Tensor]) -> Any:
    """Shard again the tensors whose name and shape match one of `like`, as that one is sharded."""
    if not isinstance(value, dict):
        return value
    return {
        key: shard_like(item, like[key])
        if isinstance(item, Tensor) and key in like and item.shape == like[key].shape
        else shard_values_like(item, like)
        for key, item in value.items()
    }


def full_state_dict(policy: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the policy by name; of a sharded one, only the first process gets them."""
    if not any(isinstance(weight, DTensor) for weight in policy.parameters()):
        return policy.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Tensor] = get_model_state_dict(policy, options=options)  # type: ignore[assignment]
    return state
