"""What the likelihood watch of the Trainer's callback takes of a training run's time.

    python -m benchmarks.watching [--rounds 5] [--steps 256] [--minutes 30] [--model DIR]

SmolLM2-135M as the demo aligns it (DIR, by default what `make demo` left for seed 0) is trained on
the demo's maths, 8 rows of at most 96 tokens a step, by the transformers Trainer. Every round
trains twice, in turns first and each in a process of its own: with the watch (at 1, 2, 4, 8, 16,
then every 16 to 256, as the callback has it) and without. No save is made and no server asked, in
neither. The ratios within a round, of wall-clock and of processor time, say what the watch takes,
having the model refuse before the first step included; on a busy machine trust the latter. Beside
them stands what the watched run saw its callback take, which needs no pair.

Runs on record for the same machine, model and length are not run again, and after `--minutes` none
is begun: call it again until it shows every round. Figures go to .holdfast/bench/watching.json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from holdfast.settings import make_folder

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".holdfast" / "bench"
RECORD = FOLDER / "watching.json"
ALIGNED = REPOSITORY / ".holdfast" / "demo" / "seed-0" / "aligned"
ROWS, MAX_LENGTH, RATE = 8, 96, 1e-5  # a rate at which refusals do not go, or a look would judge
LIMIT = 0.03
MODES = ("watched", "plain")

Recorded = dict[str, dict[str, Any]]


def train_one(model_folder: str, steps: int, mode: str) -> dict[str, Any]:
    """Train with the Trainer, watched or not; its seconds, and those of its callback."""
    import tempfile

    import torch
    from transformers import Trainer

    from holdfast.integrations.transformers import HoldfastCallback
    from training.weights.model import load_policy, load_tokenizer

    class Watching(HoldfastCallback):
        """The watch alone; every call is timed, and of a plain run there is none to make."""

        seconds, looks, refusals = 0.0, 0, 0

        def on_train_begin(self, *given: Any, **kwargs: Any) -> None:
            if mode == "watched":
                began = time.perf_counter()
                super().on_train_begin(*given, **kwargs)
                self.seconds += time.perf_counter() - began
                self.refusals = len(self._refusals)

        def _watch(self, *given: Any) -> float:
            self.looks += 1
            began = time.perf_counter()
            nats = super()._watch(*given)
            self.seconds += time.perf_counter() - began if given[0].global_step else 0.0
            return nats

        def _judge(self, *_given: Any, **_kwargs: Any) -> None:
            """Nothing is saved and nobody asked."""

    torch.manual_seed(0)
    tokenizer = load_tokenizer(Path(model_folder))
    callback = Watching("unused", FOLDER)
    with tempfile.TemporaryDirectory() as output:
        trainer = Trainer(
            model=load_policy(Path(model_folder)),
            args=arguments_of(output, steps),
            train_dataset=rows_of(tokenizer, steps),
            data_collator=lambda rows: padded(rows, tokenizer.pad_token_id or 0),
            processing_class=tokenizer,
            callbacks=[callback],
        )
        began, cpu = time.perf_counter(), time.process_time()
        trainer.train()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "wall": wall,
        "cpu": cpu,
        "callback": callback.seconds,
        "looks": callback.looks,
        "refusals": callback.refusals,
    }


def arguments_of(output: str, steps: int) -> Any:
    """The Trainer's arguments: small steps in what this machine computes in, and no save."""
    from transformers import TrainingArguments

    from training.devices.precision import trains_in_bf16
    from training.weights.model import device

    where = device()
    return TrainingArguments(
        output_dir=output,
        max_steps=steps,
        per_device_train_batch_size=ROWS,
        learning_rate=RATE,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        bf16=trains_in_bf16(where),
        use_cpu=where.type == "cpu",
        dataloader_pin_memory=where.type != "cpu",
    )


def rows_of(tokenizer: Any, steps: int) -> list[list[int]]:
    """The demo's maths as token ids, rendered by the model's own template."""
    from examples.demo.data import maths

    turns = [
        [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["completion"]},
        ]
        for row in maths(min(ROWS * steps, 1200), seed=0)
    ]
    texts = [tokenizer.apply_chat_template(turn, tokenize=False) for turn in turns]
    return [tokenizer(text, add_special_tokens=False)["input_ids"][:MAX_LENGTH] for text in texts]


def padded(rows: list[list[int]], pad: int) -> dict[str, Any]:
    """A batch of the Trainer's; padding is not learnt."""
    import torch

    longest = max(map(len, rows))
    beyond = [longest - len(row) for row in rows]
    filled = zip(rows, beyond, strict=True)
    ids = torch.tensor([[*row, *[pad] * more] for row, more in filled])
    counts = torch.arange(longest) < torch.tensor([[len(row)] for row in rows])
    return {
        "input_ids": ids,
        "attention_mask": counts.long(),
        "labels": ids.masked_fill(~counts, -100),
    }


def run(record: Recorded, key: str, model: Path, steps: int, mode: str) -> None:
    """One run in a process of its own, put on record."""
    given = json.dumps({"model_folder": str(model), "steps": steps, "mode": mode})
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.watching", "--one", given],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=3600,
    )
    record[key] = json.loads(done.stdout.splitlines()[-1])
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(key, {unit: round(value, 1) for unit, value in record[key].items()}, flush=True)


def show(record: Recorded, rounds: int, steps: int) -> bool:
    """Print what is on record; whether all rounds are and the median is within the limit."""
    keys = [[f"{mode} {steps} {number}" for mode in MODES] for number in range(rounds)]
    done = [(record[a], record[b]) for a, b in keys if a in record and b in record]
    if not done:
        print("no round is on record yet")
        return False
    first = done[0][0]
    print(
        f"{steps} steps, {len(done)} of {rounds} rounds; {first['looks']} looks at "
        f"{first['refusals']} refusals"
    )
    medians = {}
    for unit in ("wall", "cpu"):
        shares = [watched[unit] / plain[unit] - 1 for watched, plain in done]
        medians[unit] = statistics.median(shares)
        each = ", ".join(f"{share:.1%}" for share in shares)
        print(f"{unit}: {medians[unit]:.1%} more than without (limit {LIMIT:.0%}; {each})")
    inside = statistics.median(watched["callback"] / watched["wall"] for watched, _ in done)
    print(f"the callback itself: {inside:.1%} of the watched run")
    if not first["refusals"]:
        print("the model refuses nothing, so nothing was watched; give an aligned one (--model)")
        return False
    return len(done) == rounds and medians["wall"] <= LIMIT


def main() -> int:
    """Run the rounds that are not on record, then print them all; 1 unless within the limit."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--steps", type=int, default=256)
    arguments.add_argument("--minutes", type=float, default=30)
    arguments.add_argument("--model", type=Path, default=ALIGNED)
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.one:
        print(json.dumps(train_one(**json.loads(chosen.one))))
        return 0
    if not chosen.model.is_dir():
        raise SystemExit(f"{chosen.model} is no folder; run make demo, or name one by --model")
    make_folder(FOLDER)
    of = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "model": str(chosen.model)}
    record: Recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if record.get("of") != of:
        record = {"of": of}
    ends = time.monotonic() + 60 * chosen.minutes
    for number in range(chosen.rounds):
        for mode in MODES if number % 2 == 0 else MODES[::-1]:
            key = f"{mode} {chosen.steps} {number}"
            if key not in record and time.monotonic() < ends:
                run(record, key, chosen.model.absolute(), chosen.steps, mode)
    return 0 if show(record, chosen.rounds, chosen.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
