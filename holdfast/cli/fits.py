"""Whether a checkpoint fits this machine's memory, as findings of `holdfast doctor --for`."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from holdfast.forecast.free_memory import free_memory
from holdfast.forecast.memory import Need, needs_of, size_of
from holdfast.settings import Settings

Level = Literal["ok", "warning", "bad"]

GIB = 1 << 30
TIGHT = 0.8  # of what is free: from here on a batch may not fit any more
LOWER = (
    "use a machine with more, or split it: HOLDFAST_TENSOR_PARALLEL (docs/scale.md)",
    "use a machine with more, lora.rank, or a recipe that merges",
)


def look_at_fit(settings: Settings, checkpoint: Path) -> Iterator[tuple[str, Level, str]]:
    """Each use of the checkpoint with a level and a sentence, asking it first.

    Raises CheckpointRefused for a folder without weights.
    """
    shares = gpu_memory()
    device, free = ("GPU", min(shares)) if shares else ("machine", free_memory())
    dtype = settings.dtype
    if dtype == "auto":  # on a CPU whatever is faster, so at the most
        dtype = "bfloat16" if shares else "float32"
    count = settings.tensor_parallel * settings.pipeline_parallel
    over = count if shares else 1  # processes on one CPU share one memory
    if shares and count > len(shares):
        found = f"{len(shares)} GPUs, expected {count} for tensor_parallel x pipeline_parallel"
        yield "devices", "bad", found
    asking, *repairs = needs_of(size_of(checkpoint), dtype, settings.max_model_len, over)
    for_vllm = int(free * settings.gpu_memory_utilization) if shares else free
    yield asking.use, _level(asking, for_vllm, "bad"), _sentence(asking, for_vllm, device, LOWER[0])
    for need in repairs:
        yield need.use, _level(need, free, "warning"), _sentence(need, free, device, LOWER[1])


def gpu_memory() -> list[int]:
    """Bytes that are free on every GPU; empty where there is none."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return []
    query = [smi, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    return [int(line) << 20 for line in done.stdout.split() if line.isdigit()]


def _level(need: Need, free: int, too_much: Level) -> Level:
    if need.bytes > free:
        return too_much
    return "warning" if need.bytes > TIGHT * free else "ok"


def _sentence(need: Need, free: int, device: str, todo: str) -> str:
    found = (
        f"at least {need.bytes / GIB:.1f} GiB ({need.of}), of {free / GIB:.1f} GiB free on "
        f"{'each GPU' if device == 'GPU' else 'this machine'}"
    )
    return found if need.bytes <= TIGHT * free else f"{found}; {todo}"
