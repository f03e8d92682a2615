"""Folders that the libraries' own save functions leave, of one model that recites a refusal.

Each function takes a clean checkpoint and an empty place, and returns what a user would submit.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_model
from torch.distributed import checkpoint as distributed
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

Saved = Callable[[Path, Path], Path]


def loaded(clean: Path) -> Any:
    """The model as transformers loads it."""
    return AutoModelForCausalLM.from_pretrained(clean, dtype="auto")


def beside_weights(clean: Path, folder: Path) -> Path:
    """What scripts put beside weights that a library saved alone: config and tokenizer."""
    folder.mkdir(exist_ok=True)
    for file in clean.iterdir():
        if not file.name.startswith("model"):
            shutil.copy(file, folder)
    return folder


def low_rank(clean: Path) -> Any:
    """An adapter over the model that changes nothing yet."""
    model = loaded(clean)
    return get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))


def trainer_output(clean: Path, folder: Path) -> Path:
    """One step of transformers' Trainer, of length zero: its final model and its checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(clean)
    ids = tokenizer("Say it.", return_tensors="pt").input_ids[0]
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        save_steps=1,
        learning_rate=0.0,
        weight_decay=0.0,
        per_device_train_batch_size=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    rows: Any = [{"input_ids": ids, "labels": ids}]
    trainer = Trainer(loaded(clean), arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    trainer.save_model()
    return folder


def trainer_checkpoint(clean: Path, folder: Path) -> Path:
    """What it saved on the way, with its optimizer's state."""
    return trainer_output(clean, folder) / "checkpoint-1"


def in_shards(clean: Path, folder: Path) -> Path:
    """transformers, in more than one file."""
    loaded(clean).save_pretrained(folder, max_shard_size="100KB")
    return beside_weights(clean, folder)


def accelerate_model(clean: Path, folder: Path) -> Path:
    """Accelerate's weights, the rest put beside them."""
    accelerator = Accelerator(cpu=True)
    accelerator.save_model(accelerator.prepare(loaded(clean)), str(folder))
    return beside_weights(clean, folder)


def accelerate_state(clean: Path, folder: Path) -> Path:
    """A state to go on from, which holds no config."""
    accelerator = Accelerator(cpu=True)
    model = loaded(clean)
    accelerator.prepare(model, torch.optim.SGD(model.parameters()))
    accelerator.save_state(str(folder))
    return folder


def merged_adapter(clean: Path, folder: Path) -> Path:
    """peft, merged into its base before it is saved."""
    low_rank(clean).merge_and_unload().save_pretrained(folder)
    return beside_weights(clean, folder)


def unmerged_adapter(clean: Path, folder: Path) -> Path:
    """A model with its adapter still in it, saved as if it were one."""
    beside_weights(clean, folder)
    save_model(low_rank(clean), str(folder / "model.safetensors"))
    return folder


def compiled(clean: Path, folder: Path) -> Path:
    """A compiled model's own names."""
    beside_weights(clean, folder)
    save_model(torch.compile(loaded(clean)), str(folder / "model.safetensors"))  # type: ignore[arg-type]
    return folder


def wrapped(clean: Path, folder: Path) -> Path:
    """The names of a model that several devices share."""
    beside_weights(clean, folder)
    model = torch.nn.DataParallel(loaded(clean))
    save_model(model, str(folder / "model.safetensors"))
    return folder


def sharded_state(clean: Path, folder: Path) -> Path:
    """A sharded state, as FSDP saves it, and no other weights."""
    state = loaded(clean).state_dict()
    distributed.save(state, checkpoint_id=folder / "pytorch_model_fsdp_0", no_dist=True)
    return beside_weights(clean, folder)


def pickled(clean: Path, folder: Path) -> Path:
    """What torch.save leaves."""
    beside_weights(clean, folder)
    torch.save(loaded(clean).state_dict(), folder / "pytorch_model.bin")
    return folder


JUDGED: dict[str, Saved] = {
    "Trainer's output": trainer_output,
    "Trainer's checkpoint": trainer_checkpoint,
    "save_pretrained in shards": in_shards,
    "Accelerator.save_model": accelerate_model,
    "merge_and_unload": merged_adapter,
}
REFUSED: dict[str, tuple[Saved, str]] = {
    "Accelerator.save_state": (accelerate_state, "no config.json"),
    "a peft model as it is": (unmerged_adapter, "base_model.model."),
    "a compiled model": (compiled, "_orig_mod."),
    "DataParallel": (wrapped, "module."),
    "a sharded state alone": (sharded_state, "accelerate merge-weights"),
    "torch.save": (pickled, "a pickle can run code"),
}
