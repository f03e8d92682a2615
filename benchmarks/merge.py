"""How fast is a merge? Beside copying the same files, and beside mergekit's linear merge.

    python benchmarks/merge.py [--rounds 7] [--megabytes 500]

A pair of random Llamas in bf16 is made once. Every round runs each contender once, in a process
of its own, in rotating order; imports are not counted, and every contender ends with its files on
the disk (fsync). Processor seconds are user and system over all threads: on a machine with other
work, they say more than the clock. How long a contender took to get ready, imports and all, stands
beside. Peak memory is the whole process's, imports included. Rounds that are on record for the same
pair, machine, versions and code of `training` are not run again. mergekit is looked for in
.tools/peers/mergekit:

    uv venv .tools/peers/mergekit && VIRTUAL_ENV=.tools/peers/mergekit \
        uv pip install torch==2.13.0+cpu mergekit --find-links $PIP_FIND_LINKS

Figures go to .holdfast/bench/merge.json; docs/benchmarks.md holds what came out.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from holdfast.settings import make_folder

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".holdfast" / "bench"
RECORD = FOLDER / "merge.json"
PEER = REPOSITORY / ".tools" / "peers" / "mergekit" / "bin" / "python"
WEIGHT = 0.8
LAYER_MEGABYTES = 25.7  # of a layer of the width below, in bf16


def make_pair(megabytes: int) -> Path:
    """Two Llamas of about this size, in two shards; the second is the first, moved a little."""
    pair = FOLDER / f"pair-{megabytes}"
    if pair.exists():
        return pair
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=max(1, round((megabytes - 65.5) / LAYER_MEGABYTES)),
        num_attention_heads=16,
        vocab_size=32_000,
        tie_word_embeddings=True,
        dtype=torch.bfloat16,
    )
    partial = pair.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model: Any = LlamaForCausalLM(config)
    model.to(torch.bfloat16)
    for name in ("baseline", "candidate"):
        model.save_pretrained(partial / name, max_shard_size=f"{round(megabytes * 0.55)}MB")
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=1e-3)
    partial.rename(pair)
    return pair


def time_copy(pair: Path, output: Path) -> Callable[[], None]:
    def copy() -> None:
        shutil.copytree(pair / "candidate", output)
        sync(output)

    return copy


def time_recipe(recipe: str, pair: Path, output: Path) -> Callable[[], None]:
    from importlib import import_module

    from holdfast.repairs.plan import Plan

    run = import_module(f"training.recipes.{recipe}").run
    plan = Plan.model_validate(
        {
            "recipe": recipe,
            "baseline": pair / "baseline",
            "candidate": pair / "candidate",
            "output": output,
            "candidate_weight": WEIGHT,
            "hma": {"ratios": (WEIGHT - 0.1, WEIGHT, WEIGHT + 0.1)} if recipe == "hma" else {},
        }
    )
    return lambda: print(run(plan, lambda *_, **__: None), file=sys.stderr)


def time_mergekit(pair: Path, output: Path) -> Callable[[], None]:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    configuration = MergeConfiguration.model_validate(
        {
            "merge_method": "linear",
            "dtype": "bfloat16",
            "models": [
                {"model": str(pair / name), "parameters": {"weight": weight}}
                for name, weight in (("baseline", 1 - WEIGHT), ("candidate", WEIGHT))
            ],
        }
    )
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True)

    def merge() -> None:
        run_merge(configuration, str(output), options)
        sync(output)

    return merge


CONTENDERS: dict[str, Callable[[Path, Path], Callable[[], None]]] = {
    "copy": time_copy,
    "wise_ft": partial(time_recipe, "wise_ft"),
    "hma": partial(time_recipe, "hma"),
    "graft": partial(time_recipe, "graft"),
    "mergekit": time_mergekit,
}


def sync(folder: Path) -> None:
    """Have the disk hold what the page cache holds, as our recipe does."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def run_one(name: str, pair: Path) -> None:
    """In the child: prepare, warm the page cache, measure, print one line."""
    output = FOLDER / f"output-{name}"
    shutil.rmtree(output, ignore_errors=True)
    merge = CONTENDERS[name](pair, output)
    ready = time.monotonic() - float(os.environ["BEGAN"])
    for file in pair.glob("*/*.safetensors"):
        with file.open("rb") as opened:
            while opened.read(1 << 24):
                pass
    os.sync()
    loaded = peak_mb()
    began, worked = time.perf_counter(), time.process_time()
    merge()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    measured = {"seconds": seconds, "cpu": cpu, "peak_mb": peak_mb(), "imports_mb": loaded}
    measured["ready"] = ready
    shutil.rmtree(output)
    print(json.dumps(measured))


def peak_mb() -> float:
    """Most memory that this process has held; ru_maxrss would count its parent's as well."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def measure(name: str, megabytes: int) -> dict[str, float]:
    python = str(PEER) if name == "mergekit" else sys.executable
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "BEGAN": str(time.monotonic())}
    command = [python, __file__, "--megabytes", str(megabytes), "--one", name]
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=600
    )
    line: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return line


def conditions(pair: Path) -> dict[str, Any]:
    """What must be equal for rounds to be put together."""
    code = sorted((REPOSITORY / "training").glob("**/*.py"))
    peer = None
    if PEER.exists():
        ask = "from importlib.metadata import version as v; print(v('mergekit'), v('torch'))"
        peer = subprocess.check_output([PEER, "-c", ask], text=True).strip()
    return {
        "pair_mb": sum(file.stat().st_size for file in (pair / "candidate").iterdir()) >> 20,
        "shard_mb": max(file.stat().st_size for file in (pair / "candidate").iterdir()) >> 20,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": metadata.version("torch"),
        "mergekit": peer,
        "code": hashlib.sha256(b"".join(file.read_bytes() for file in code)).hexdigest()[:12],
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--megabytes", type=int, default=500)
    arguments.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    make_folder(FOLDER)
    if chosen.one:
        run_one(chosen.one, FOLDER / f"pair-{chosen.megabytes}")
        return
    under = conditions(make_pair(chosen.megabytes))
    rounds = recorded(under)
    names = [name for name in CONTENDERS if name != "mergekit" or under["mergekit"]]
    if "mergekit" not in names:
        print("mergekit is not installed beside; see the head of this file. Compared with copy.")
    for number in range(len(rounds), chosen.rounds):
        order = [names[(number + k) % len(names)] for k in range(len(names))]
        rounds.append({name: measure(name, chosen.megabytes) for name in order})
        RECORD.write_text(json.dumps({"conditions": under, "rounds": rounds}, indent=1) + "\n")
        print(f"round {number + 1} of {chosen.rounds}")
    show(under, rounds, names)


def recorded(under: dict[str, Any]) -> list[dict[str, dict[str, float]]]:
    if not RECORD.exists():
        return []
    record = json.loads(RECORD.read_text())
    return list(record["rounds"]) if record["conditions"] == under else []


def show(
    under: dict[str, Any], rounds: list[dict[str, dict[str, float]]], names: list[str]
) -> None:
    print(", ".join(f"{key} {value}" for key, value in under.items()))
    ours = [measured["wise_ft"] for measured in rounds]
    for name in names:
        theirs = [measured[name] for measured in rounds]
        seconds, cpu, peak, imports, ready = (
            statistics.median(measured[key] for measured in theirs)
            for key in ("seconds", "cpu", "peak_mb", "imports_mb", "ready")
        )
        by_clock, by_cpu = (
            statistics.median(a[key] / b[key] for a, b in zip(ours, theirs, strict=True))
            for key in ("seconds", "cpu")
        )
        copies = [measured["copy"]["seconds"] for measured in rounds]
        of_copy = statistics.median(a["seconds"] / b for a, b in zip(theirs, copies, strict=True))
        print(
            f"{name:9}{seconds:7.2f} s, {cpu:6.2f} s of processor, peak {peak:5.0f} MB "
            f"({imports:.0f} before it began, {ready:.2f} s after the process's start); "
            f"{name} / copy: {of_copy:.2f}; wise_ft / {name}: {by_clock:.2f}, {by_cpu:.2f}"
        )


if __name__ == "__main__":
    main()
