"""Choose a policy's trained weights: all, all but the frozen ones, or a low-rank adapter's.

Dropout stays off in every case, also where gradient checkpointing needs the model in training mode:
a policy with dropout could not be compared with its reference. An adapter is merged back before
anything is written, so every repair is a whole checkpoint; beside it the adapter may be kept.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Lora, Plan
from training.devices.parallel import gather_shards, shard
from training.devices.processes import rank, world
from training.weights.model import load_policy, save_weights, stored_weights, trained_weights
from training.weights.output import atomic_checkpoint, atomic_folder, refuse_existing


def trainable(policy: nn.Module, plan: Plan) -> nn.Module:
    """The policy with the plan's options applied: what `train` and `save_checkpoint` are given."""
    if plan.adapter_folder is not None:
        refuse_existing(plan.adapter_folder)
    wrapped = adapt_policy(policy, plan)
    if plan.gradient_checkpointing:
        without_dropout(wrapped).train()
        wrapped.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    return shard(wrapped)


def adapt_policy(policy: nn.Module, plan: Plan) -> nn.Module:
    """The policy with frozen parameters, and with an adapter if the plan asks for one."""
    freeze(policy, plan.freeze)
    return policy if plan.lora is None else with_adapter(policy, plan.lora)


def without_adapter(policy: nn.Module) -> nn.Module:
    """The model with its adapter, if there is one, merged into the weights."""
    merge = getattr(policy, "merge_and_unload", None)
    merged: nn.Module = policy if merge is None else merge()
    return merged


def save_checkpoint(policy: nn.Module, plan: Plan) -> None:
    """Write `plan.output`, whole or not at all; before it the adapter, if that is to be kept."""
    if plan.lora is not None and world() > 1:
        adapter = gather_shards(dict(trained_weights(policy)))
        if rank() > 0:
            return
        policy = with_weights(plan, adapter)  # merged as by one process
    if plan.adapter_folder is not None:
        with atomic_folder(plan.adapter_folder) as folder:
            save_adapter(policy, plan, folder)
    state = stored_weights(without_adapter(policy))
    if rank() > 0:
        return
    with atomic_checkpoint(plan) as folder:
        save_weights(state, plan.start_checkpoint, folder, fp32=plan.store == "fp32")


def save_adapter(policy: nn.Module, plan: Plan, folder: Path) -> None:
    """Write the adapter as peft does; its base is the checkpoint that the run started from."""
    for config in policy.peft_config.values():  # type: ignore[operator]  # what peft wraps
        config.base_model_name_or_path = str(plan.start_checkpoint)
    policy.save_pretrained(folder, save_embedding_layers=False)  # type: ignore[operator]


def with_weights(plan: Plan, adapter: Mapping[str, Tensor]) -> nn.Module:
    """The start checkpoint again, whole, with an adapter that was trained in shards."""
    policy = adapt_policy(load_policy(plan.start_checkpoint), plan)
    with torch.no_grad():
        for name, weight in trained_weights(policy):
            weight.copy_(adapter[name])
    return policy


def freeze(policy: nn.Module, patterns: tuple[str, ...]) -> None:
    """Leave every parameter alone whose name matches one of the shell patterns.

    Raises InvalidPlan for a pattern that matches none (a misspelt one would train everything) and
    where nothing is left to train.
    """
    parameters = dict(policy.named_parameters())
    for pattern in patterns:
        matched = [name for name in parameters if fnmatchcase(name, pattern)]
        if not matched:
            raise InvalidPlan(
                f"freeze: no parameter matches {pattern!r}; they are named like "
                f"{next(iter(parameters))}"
            )
        for name in matched:
            parameters[name].requires_grad_(False)
    if not any(weight.requires_grad for weight in parameters.values()):
        raise InvalidPlan("freeze: every parameter is frozen, so there is nothing to train")


def with_adapter(policy: nn.Module, lora: Lora) -> nn.Module:
    """A low-rank adapter on every linear layer of the blocks, or on those that `targets` names."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        target_modules=list(lora.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        wrapped: nn.Module = get_peft_model(policy, config)
    except ValueError as error:  # peft's own word for targets that are not there
        raise InvalidPlan(f"lora: {error}") from error
    return wrapped


def without_dropout(policy: nn.Module) -> nn.Module:
    """Every chance of dropping set to 0, so that training mode computes what eval mode does."""
    for module in policy.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            setattr(module, "attention_dropout", 0.0)  # noqa: B010  no attribute of nn.Module
    return policy
