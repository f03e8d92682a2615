"""TRL's own side of benchmarks/steps.py, in a virtual environment of its own.

    python benchmarks/steps_peer.py sft|dpo CHECKPOINT ORDER

Trains on the rows of one JSON object from standard input and prints one line: the loss of each
step, and the times at which steps ended, by the clock and of the processor. As the trainers come,
but for what ours does not do either: the reference is computed beforehand, nothing is checkpointed,
reported or saved, and rows stay in their order.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

OWN: dict[str, dict[str, Any]] = {
    "sft": {},
    "dpo": {"precompute_ref_log_probs": True},
}
CONFIGS = {"sft": trl.SFTConfig, "dpo": trl.DPOConfig}
TRAINERS = {"sft": trl.SFTTrainer, "dpo": trl.DPOTrainer}


class Clock(TrainerCallback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.stamps: list[tuple[float, float]] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.stamps.append((time.perf_counter(), time.process_time()))


def rendered(rows: list[dict[str, str]], tokenizer: Any) -> Dataset:
    """Prompts as the chat template writes them; TRL adds the end of turn to answers."""
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": row["prompt"]}], tokenize=False, add_generation_prompt=True
        )
        for row in rows
    ]
    return Dataset.from_list(
        [row | {"prompt": prompt} for row, prompt in zip(rows, prompts, strict=True)]
    )


def options(kind: str, folder: Path, order: dict[str, Any]) -> Any:
    """The trainer's settings: those of the order, and nothing beside training."""
    return CONFIGS[kind](
        output_dir=str(folder / "trl"),
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **order,
        **OWN[kind],
    )


def trainer_of(kind: str, losses: list[float]) -> type[Any]:
    """TRL's trainer, whose losses are kept as it computes them."""
    trainer: Any = TRAINERS[kind]

    class Kept(trainer):
        def compute_loss(self, *given: Any, **named: Any) -> Any:
            found = super().compute_loss(*given, **named)
            losses.append((found[0] if isinstance(found, tuple) else found).item())
            return found

    return Kept


def main(kind: str, checkpoint: str, folder: str, order: dict[str, Any]) -> None:
    rows = order.pop("rows")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    losses: list[float] = []
    clock = Clock()
    trainer_of(kind, losses)(
        model=AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32),
        args=options(kind, Path(folder), order),
        train_dataset=rendered(rows, tokenizer),
        processing_class=tokenizer,
        callbacks=[clock],
    ).train()
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    line = {"losses": losses[-order["max_steps"] :], "stamps": clock.stamps, "peak_mb": peak}
    print(json.dumps(line))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], json.load(sys.stdin))
