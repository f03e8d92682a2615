"""The parts of a Trainer that are judged: tokenizer, weights, an adapter's base; and its saves."""

import sys
from pathlib import Path
from typing import Any

from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor

from holdfast.errors import CheckpointRefused


def is_sharded(model: nn.Module) -> bool:
    """Whether its weights are FSDP2's, a shard of each in every process."""
    return any(isinstance(weight, DTensor) for weight in model.parameters())


def whole_weights(model: nn.Module) -> dict[str, Any]:
    """The whole weights of a sharded model, on the first process's CPU; every process calls it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(model, options=options)


def how_to_resume(output: Path, last: int) -> str:
    """Advice after an alarm, with the Trainer's own save of step `last` or before."""
    saves = [save for save in output.glob("checkpoint-*") if step_of(save) <= last]
    if not saves:
        return (
            f"the training is stopped; no save of a step up to {last}, the last without an alarm, "
            "is there to resume from (save_steps says how often there is one)"
        )
    save = str(max(saves, key=step_of))
    return f"the training is stopped; to resume: trainer.train(resume_from_checkpoint={save!r})"


def step_of(save: Path) -> int:
    """The step of a Trainer's save, by its name; beyond any for one that is not named so."""
    number = save.name.rpartition("-")[2]
    return int(number) if number.isdigit() else sys.maxsize


def tokenizer_of(kwargs: dict[str, Any]) -> Any:
    """The tokenizer, or processor, that the Trainer hands to its callbacks; None without one."""
    return kwargs.get("processing_class") or kwargs.get("tokenizer")


def base_of(model: Any) -> Path | None:
    """The folder of the model that an adapter adapts; None for a whole model."""
    if not hasattr(model, "peft_config"):
        return None
    named = next(iter(model.peft_config.values())).base_model_name_or_path
    if named is None or not Path(named).is_dir():
        raise CheckpointRefused(
            f"the adapter's base is {named}, which is no folder here; load the model from a folder "
            "that the server can read"
        )
    return Path(named).absolute()
