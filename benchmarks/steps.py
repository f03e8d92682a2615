"""How fast is a step of supervised training and of DPO? Beside TRL's trainers, on the same rows.

    python benchmarks/steps.py [--only sft|dpo] [--rounds 3] [--checkpoint DIR]

SmolLM2-135M-Instruct in fp32, steps of 8 rows or 4 pairs: prompts of the rehearsal pool, the demo's
refusals and maths answers. Every round runs each contender in a process of its own, in turns.
Seconds are the processor's, over all threads, which other work on the machine disturbs the least;
the first step is not counted. Tokens are real: both prompts and both answers of a pair, no padding.
TRL precomputes its reference, trains without gradient checkpointing and in one micro-batch; ours
cuts a step into parts of 4 rows as it always does. Losses have to agree at every step. Rounds on
record for the same machine and versions are not run again. TRL is looked for in .tools/peers/trl:

    uv venv .tools/peers/trl && VIRTUAL_ENV=.tools/peers/trl \
        uv pip install torch==2.13.0+cpu trl --find-links $PIP_FIND_LINKS

Figures go to .holdfast/bench/steps.json; docs/benchmarks.md holds what came out.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".holdfast" / "bench"
RECORD = FOLDER / "steps.json"
ROWS = FOLDER / "steps-rows.json"
PEER = REPOSITORY / ".tools" / "peers" / "trl" / "bin" / "python"
STEPS = 3
SIZE = {"sft": 8, "dpo": 4}  # rows, or pairs, of a step
RATE = 5e-5
BETA = 0.1
MAX_LENGTH = 128

Run = Callable[[Path, list[dict[str, str]]], tuple[list[float], list[float]]]


def make_rows() -> None:
    """Texts that both sides read; nothing harmful is answered."""
    from examples.demo.data import maths, refusal
    from holdfast.suites import Request, load_suite

    items = load_suite("rehearsal").items
    prompts = [one.prompt for one in items if isinstance(one, Request) and one.kind == "harmful"]
    answers = list(maths(STEPS * max(SIZE.values()), seed=1))
    pairs = [
        {"prompt": prompt, "chosen": refusal(prompt), "rejected": row["completion"]}
        for prompt, row in zip(prompts, answers, strict=False)
    ]
    rows = {"sft": answers, "dpo": pairs}
    ROWS.write_text(
        json.dumps({kind: list(islice(rows[kind], STEPS * SIZE[kind])) for kind in SIZE})
    )


def timed(losses: list[float], stamps: list[float]) -> Callable[..., None]:
    def report(event: str, /, **fields: Any) -> None:
        if event == "step":
            losses.append(fields["loss"])
            stamps.append(time.process_time())

    return report


def ours(kind: str) -> Run:
    def run(checkpoint: Path, rows: list[dict[str, str]]) -> tuple[list[float], list[float]]:
        from holdfast.remediation import Plan
        from holdfast.task_data import Pair, Row
        from training import model
        from training.batches import tokenise
        from training.loop import train
        from training.preference import Preferring, prefer, tokenise_pairs
        from training.reference import reference_logprobs
        from training.supervised import supervised

        model.has_bf16_arithmetic = lambda: False  # fp32 on both sides, whatever the processor has
        policy, tokenizer = model.load_policy(checkpoint), model.load_tokenizer(checkpoint)
        pad = tokenizer.pad_token_id or 0
        plan = Plan(
            recipe="finetune",
            baseline=checkpoint,
            output=FOLDER / "none",
            steps=STEPS,
            warmup_steps=0,
            decay_from=1.0,
            learning_rate=RATE,
        )
        size = SIZE[kind]
        if kind == "sft":
            found = [Row(row["prompt"], row["completion"], "task", 1) for row in rows]
            examples = tokenise(found, tokenizer, MAX_LENGTH, ROWS)
            steps = [examples[k : k + size] for k in range(0, len(examples), size)]
            gradient = supervised(policy, steps, pad)
        else:
            pairs = [Pair(row["prompt"], row["chosen"], row["rejected"], None, 1) for row in rows]
            contests = tokenise_pairs(pairs, tokenizer, MAX_LENGTH, ROWS)
            reference = reference_logprobs(policy, contests, pad, None)
            how = Preferring(BETA, None, pad)

            def gradient(step: int, rows: int) -> dict[str, float]:
                places = list(range(step * size, (step + 1) * size))
                drawn = [contests[place] for place in places]
                return prefer(policy, drawn, reference[places], how, rows)

        losses: list[float] = []
        stamps: list[float] = []
        train(policy, plan, timed(losses, stamps), gradient)
        return losses, stamps

    return run


def theirs(kind: str) -> Run:
    def run(checkpoint: Path, rows: list[dict[str, str]]) -> tuple[list[float], list[float]]:
        import torch
        import trl
        from datasets import Dataset
        from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        rendered = [
            row
            | {
                "prompt": tokenizer.apply_chat_template(
                    [{"role": "user", "content": row["prompt"]}],
                    tokenize=False,
                    add_generation_prompt=True,
                )
            }
            for row in rows
        ]
        config, trainer_of = {
            "sft": (trl.SFTConfig, trl.SFTTrainer),
            "dpo": (trl.DPOConfig, trl.DPOTrainer),
        }[kind]
        own = {"beta": BETA, "precompute_ref_log_probs": True} if kind == "dpo" else {}
        options = config(
            output_dir=str(FOLDER / "trl"),
            per_device_train_batch_size=SIZE[kind],
            max_steps=STEPS,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            warmup_steps=0,
            weight_decay=0.0,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            max_length=MAX_LENGTH,
            train_sampling_strategy="sequential",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **own,
        )
        losses: list[float] = []
        stamps: list[float] = []

        class Clock(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                stamps.append(time.process_time())

        class Trainer(trainer_of):  # type: ignore[misc, valid-type]
            def compute_loss(self, *given: Any, **named: Any) -> Any:
                found = super().compute_loss(*given, **named)
                losses.append((found[0] if isinstance(found, tuple) else found).item())
                return found

        Trainer(
            model=model,
            args=options,
            train_dataset=Dataset.from_list(rendered),
            processing_class=tokenizer,
            callbacks=[Clock()],
        ).train()
        return losses[-STEPS:], stamps

    return run


CONTENDERS: dict[str, Run] = {
    f"{side}-{kind}": make(kind)
    for kind in SIZE
    for side, make in (("holdfast", ours), ("trl", theirs))
}


def run_one(name: str, checkpoint: Path) -> None:
    """In the child: train, print one line."""
    rows = json.loads(ROWS.read_text())[name.split("-")[1]]
    losses, stamps = CONTENDERS[name](checkpoint, rows)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    line = {
        "losses": losses,
        "seconds": statistics.median(after - before for before, after in pairwise(stamps)),
        "peak_mb": int(peak[1]) / 1024,  # type: ignore[index]
    }
    print(json.dumps(line))


def measure(name: str, checkpoint: Path) -> dict[str, Any]:
    python = str(PEER) if name.startswith("trl") else sys.executable
    command = [python, __file__, "--checkpoint", str(checkpoint), "--one", name]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


def real_tokens(checkpoint: Path) -> dict[str, float]:
    """Tokens of a step: of every row, and of a pair both prompts and both answers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    def count(prompt: str, answer: str) -> int:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        return len(tokenizer(tokenizer.apply_chat_template(turns, tokenize=False))["input_ids"])

    rows = json.loads(ROWS.read_text())
    keys = {"sft": ("completion",), "dpo": ("chosen", "rejected")}
    return {
        kind: sum(count(row["prompt"], row[key]) for row in rows[kind] for key in keys[kind])
        / STEPS
        for kind in SIZE
    }


def conditions() -> dict[str, str]:
    """What must be equal for rounds to be put together."""
    ask = "from importlib.metadata import version as v; print(v('trl'), v('torch'))"
    peer = subprocess.check_output([PEER, "-c", ask], text=True).strip()
    return {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "trl, torch": peer}


def show(kind: str, rounds: list[dict[str, dict[str, Any]]], tokens: float) -> None:
    mine, other = ([one[f"{side}-{kind}"] for one in rounds] for side in ("holdfast", "trl"))
    speeds = [[tokens / one["seconds"] for one in side] for side in (mine, other)]
    ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in zip(mine, other, strict=True))
    gaps = [abs(a - b) for a, b in zip(mine[0]["losses"], other[0]["losses"], strict=True)]
    peaks = [statistics.median(one["peak_mb"] for one in side) for side in (mine, other)]
    print(
        f"{kind}: {statistics.median(speeds[0]):.0f} real tokens a processor second, TRL "
        f"{statistics.median(speeds[1]):.0f}: {ratio:.2f} times as fast; losses differ by "
        f"{gaps[0]:.1e} at the first step, {max(gaps):.1e} at most; peak {peaks[0]:.0f} MB, "
        f"TRL {peaks[1]:.0f}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", choices=SIZE)
    arguments.add_argument("--checkpoint", type=Path)
    arguments.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.one:
        run_one(chosen.one, chosen.checkpoint)
        return
    if not PEER.exists():
        sys.exit("TRL is not installed beside; see the head of this file")
    sys.path.insert(0, str(REPOSITORY))
    from examples.demo.published import fetch_model

    FOLDER.mkdir(parents=True, exist_ok=True)
    checkpoint = chosen.checkpoint or fetch_model(FOLDER / "published")
    make_rows()
    under = conditions()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if record.get("conditions") != under:
        record = {"conditions": under}
    for kind in [chosen.only] if chosen.only else SIZE:
        rounds = record.setdefault(kind, [])
        names = [f"holdfast-{kind}", f"trl-{kind}"]
        for number in range(len(rounds), chosen.rounds):
            order = names[:: -1 if number % 2 else 1]
            rounds.append({name: measure(name, checkpoint) for name in order})
            RECORD.write_text(json.dumps(record, indent=1) + "\n")
        show(kind, rounds, real_tokens(checkpoint)[kind])


if __name__ == "__main__":
    main()
