"""One run on several processes: weights are sharded over them, each takes its rows of every step.

`accelerate launch` (or torchrun) starts the processes and tells each its rank. All of them draw the
same rows from the same seed, so none has to send any; FSDP2 (torch's `fully_shard`, block by block)
gathers weights for the forward pass and means gradients over the ranks. Only the first one speaks
and writes. One process alone, which is how a worker starts a repair, shards nothing.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import ceil

import torch
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from holdfast.errors import NotBuilt
from holdfast.remediation import Plan
from training.batches import Example
from training.processes import rank, world

SHARED = frozenset({"finetune", "rehearsal"})  # recipes whose steps are rows and nothing else


@contextmanager
def together(plan: Plan) -> Iterator[None]:
    """Meet the other processes, if there are any; raises NotBuilt for what one has to do alone."""
    if world() == 1:
        yield
        return
    _refuse(plan)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _refuse(plan: Plan) -> None:
    said = {
        f"recipe {plan.recipe}": plan.recipe not in SHARED,
        f"reduction {plan.reduction}": plan.reduction != "token_mean_global",
        "lora": plan.lora is not None,
        "resume": plan.resume is not None,
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
        fully_shard(policy)
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


def total(number: float) -> float:
    """The sum over all processes."""
    if world() == 1:
        return number
    where = "cuda" if torch.cuda.is_available() else "cpu"
    summed = torch.tensor(number, dtype=torch.float64, device=where)
    distributed.all_reduce(summed)
    return summed.item()


def gathered(tensor: Tensor) -> Tensor:
    """The whole of what may lie in shards."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_state(policy: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the policy; where it lies in shards, in the first process alone."""
    if not any(isinstance(weight, DTensor) for weight in policy.parameters()):
        return policy.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Tensor] = get_model_state_dict(policy, options=options)  # type: ignore[assignment]
    return state
