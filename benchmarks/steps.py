"""How fast is a step of supervised training and of DPO? Beside TRL's trainers, on the same rows.

    python benchmarks/steps.py [--only sft|dpo] [--rounds 3] [--minutes 6] [--checkpoint DIR]

SmolLM2-135M-Instruct in fp32, steps of 8 rows or 4 pairs: prompts of the rehearsal pool, the demo's
refusals and maths answers. Every round runs each contender in a process of its own, in turns; the
first step is not counted, and a round's figure is the median of the others. Tokens are real: both
prompts and both answers of a pair, no padding. TRL precomputes its reference, trains without
gradient checkpointing and in one micro-batch; ours cuts a step into parts of 4 rows as it always
does. Losses have to agree at every step.

Runs on record for the same machine and versions are not run again, and after `--minutes` none is
begun: call it again until it shows every round. TRL is looked for in .tools/peers/trl:

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
from collections.abc import Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from holdfast.settings import make_folder

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".holdfast" / "bench"
RECORD = FOLDER / "steps.json"
PEER = REPOSITORY / ".tools" / "peers" / "trl" / "bin" / "python"
STEPS = 6
SIZE = {"sft": 8, "dpo": 4}  # rows, or pairs, of a step
RATE = 5e-5
BETA = 0.1
MAX_LENGTH = 128

Texts = list[dict[str, str]]


def rows_of(kind: str) -> Texts:
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
    return list(islice({"sft": answers, "dpo": pairs}[kind], STEPS * SIZE[kind]))


def train_ours(kind: str, checkpoint: Path) -> dict[str, Any]:
    """In the child: losses, and the times at which steps ended, by the clock and the processor."""
    from holdfast.repairs.plan import Plan
    from training.runs.loop import seed_everything, train
    from training.weights import model

    os.environ["HOLDFAST_DTYPE"] = "float32"  # fp32 on both sides, whatever the processor has
    seed_everything(0)
    policy, tokenizer = model.load_policy(checkpoint), model.load_tokenizer(checkpoint)
    gradient = {"sft": sft_steps, "dpo": dpo_steps}[kind](policy, tokenizer)
    plan = Plan(
        recipe="finetune",
        baseline=checkpoint,
        output=FOLDER / "none",
        steps=STEPS,
        warmup_steps=0,
        decay_from=1.0,
        learning_rate=RATE,
    )
    losses: list[float] = []
    stamps: list[tuple[float, float]] = []

    def report(event: str, /, **fields: Any) -> None:
        if event == "step":
            losses.append(fields["loss"])
            stamps.append((time.perf_counter(), time.process_time()))

    train(policy, plan, report, gradient)
    return {"losses": losses, "stamps": stamps, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Most memory that this process has held; ru_maxrss would count its parent's as well."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def sft_steps(policy: Any, tokenizer: Any) -> Any:
    from holdfast.repairs.task_data import Row
    from training.rows.batches import tokenise
    from training.runs.supervised import supervised_gradient

    rows = [Row(row["prompt"], row["completion"], "task", 1) for row in rows_of("sft")]
    examples = tokenise(rows, tokenizer, MAX_LENGTH, FOLDER)
    steps = [examples[k : k + SIZE["sft"]] for k in range(0, len(examples), SIZE["sft"])]
    return supervised_gradient(policy, steps, tokenizer.pad_token_id)


def dpo_steps(policy: Any, tokenizer: Any) -> Any:
    from holdfast.repairs.task_data import PreferencePair
    from training.passes.preference import PreferenceSettings, prefer, tokenise_pairs
    from training.passes.reference import reference_logprobs

    pairs = [
        PreferencePair(row["prompt"], row["chosen"], row["rejected"], None, 1)
        for row in rows_of("dpo")
    ]
    contests = tokenise_pairs(pairs, tokenizer, MAX_LENGTH, FOLDER)
    how = PreferenceSettings(BETA, None, tokenizer.pad_token_id)
    reference = reference_logprobs(policy, contests, how.pad, None)

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        places = list(range(step * SIZE["dpo"], (step + 1) * SIZE["dpo"]))
        drawn = [contests[place] for place in places]
        return prefer(policy, drawn, reference[places], how, rows)

    return gradient


def measure(side: str, kind: str, checkpoint: Path) -> dict[str, Any]:
    """One run of one contender: the losses, the median step, the process's peak memory."""
    command = [sys.executable, __file__, "--checkpoint", str(checkpoint), "--one", kind]
    order: dict[str, Any] = {}
    if side == "trl":
        peer = Path(__file__).with_name("steps_peer.py")
        command = [str(PEER), str(peer), kind, str(checkpoint), str(FOLDER)]
        order = {
            "rows": rows_of(kind),
            "per_device_train_batch_size": SIZE[kind],
            "max_steps": STEPS,
            "learning_rate": RATE,
            "max_length": MAX_LENGTH,
        }
        order |= {"beta": BETA} if kind == "dpo" else {}
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"},
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    steps = [[b - a for a, b in zip(*two, strict=True)] for two in pairwise(found.pop("stamps"))]
    seconds, cpu = (statistics.median(one) for one in zip(*steps, strict=True))
    return found | {"seconds": seconds, "cpu": cpu}


def real_tokens(checkpoint: Path, kind: str) -> float:
    """Tokens of a step: of every row, and of a pair both prompts and both answers."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)

    def count(prompt: str, answer: str) -> int:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        whole = tokenizer.apply_chat_template(turns, tokenize=False).rstrip("\n")
        return len(tokenizer(whole)["input_ids"])

    keys = {"sft": ("completion",), "dpo": ("chosen", "rejected")}[kind]
    return sum(count(row["prompt"], row[key]) for row in rows_of(kind) for key in keys) / STEPS


def conditions() -> dict[str, str]:
    """What must be equal for rounds to be put together."""
    ask = "from importlib.metadata import version as v; print(v('trl'), v('torch'))"
    peer = subprocess.check_output([PEER, "-c", ask], text=True).strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"machine": machine, "trl, torch": peer, "steps": str(STEPS)}


def show(kind: str, rounds: list[dict[str, dict[str, Any]]], tokens: float) -> None:
    mine, other = ([one[side] for one in rounds] for side in ("holdfast", "trl"))
    for unit in ("seconds", "cpu"):
        speeds = [statistics.median(tokens / one[unit] for one in side) for side in (mine, other)]
        ratios = [b[unit] / a[unit] for a, b in zip(mine, other, strict=True)]
        print(
            f"{kind}, by {unit}: {speeds[0]:.0f} real tokens, TRL {speeds[1]:.0f}: "
            f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f}-{max(ratios):.2f})"
        )
    gaps = [abs(a - b) for a, b in zip(mine[0]["losses"], other[0]["losses"], strict=True)]
    peaks = [statistics.median(one["peak_mb"] for one in side) for side in (mine, other)]
    print(
        f"{kind}: losses differ by {gaps[0]:.1e} at the first step, {max(gaps):.1e} at most; "
        f"peak {peaks[0]:.0f} MB, TRL {peaks[1]:.0f}; {len(rounds)} rounds"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--minutes", type=float, default=6)
    arguments.add_argument("--only", choices=SIZE)
    arguments.add_argument("--checkpoint", type=Path)
    arguments.add_argument("--one", choices=SIZE, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    if chosen.one:
        print(json.dumps(train_ours(chosen.one, chosen.checkpoint)))
        return
    if not PEER.exists():
        sys.exit("TRL is not installed beside; see the head of this file")
    from examples.demo.published import fetch_model

    make_folder(FOLDER)
    checkpoint = chosen.checkpoint or fetch_model(FOLDER / "published")
    run_rounds(checkpoint, [chosen.only] if chosen.only else list(SIZE), chosen)


def run_rounds(checkpoint: Path, kinds: list[str], chosen: argparse.Namespace) -> None:
    under, began = conditions(), time.monotonic()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if record.get("conditions") != under:
        record = {"conditions": under}
    for number in range(chosen.rounds):
        for kind in kinds:
            for side in ("holdfast", "trl")[:: -1 if number % 2 else 1]:
                key = f"{kind} {side} {number}"
                if key not in record and time.monotonic() - began < 60 * chosen.minutes:
                    record[key] = measure(side, kind, checkpoint)
                    RECORD.write_text(json.dumps(record, indent=1) + "\n")
                    print(key, flush=True)
    for kind in kinds:
        rounds = [
            {side: record[f"{kind} {side} {number}"] for side in ("holdfast", "trl")}
            for number in range(chosen.rounds)
            if all(f"{kind} {side} {number}" in record for side in ("holdfast", "trl"))
        ]
        if rounds:
            show(kind, rounds, real_tokens(checkpoint, kind))


if __name__ == "__main__":
    main()
