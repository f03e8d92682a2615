"""Choose bf16 or fp32 for this machine by measuring both, since flags do not tell.

    python -m training.devices.precision
    → {"dtype": "float32", "seconds": {"bfloat16": 0.111, "float32": 0.0016}}

A CPU without bf16 instructions emulates them, and how badly depends on the library: by a factor of
four, or of hundreds. So one product of a small model's shape is timed in both, on one thread and in
processor time, which other work on the machine hardly moves. GPUs are asked for their generation
instead: below compute capability 8 they have no bf16. Engines learn the answer through the command
above, in a process of their own, so that whoever supervises them never loads torch.
"""

import json
import os
import sys
import time
from functools import cache

import torch

SHAPE = (128, 576, 1536)  # tokens, hidden and intermediate size of SmolLM2-135M
REPETITIONS = 7
HOPELESS = 10.0  # times the seconds of fp32, after which repeating teaches nothing
# bf16 halves the bytes of every weight that is read, which is what generating waits for, so it may
# take up to twice as long where, as here, only multiplying counts.
TOLERATED = 2.0


def trains_in_bf16(where: torch.device) -> bool:
    """Whether training computes in bf16 over its fp32 weights on this device.

    HOLDFAST_DTYPE says so, where it is not `auto`; gradients in float16 would need a loss scale, so
    whoever asks for that trains in fp32.
    """
    dtype = os.environ.get("HOLDFAST_DTYPE", "auto")
    return (native_dtype(where.type) if dtype == "auto" else dtype) == "bfloat16"


@cache
def native_dtype(device: str) -> str:
    """`bfloat16` where this device computes it well enough, else `float32`."""
    if device == "cuda":
        return "bfloat16" if _gpus_have_bf16() else "float32"
    return preferred_dtype(product_seconds())


def preferred_dtype(seconds: dict[str, float]) -> str:
    """The dtype to compute in, from how long one product took in each."""
    return "bfloat16" if seconds["bfloat16"] <= TOLERATED * seconds["float32"] else "float32"


def product_seconds() -> dict[str, float]:
    """Processor seconds of one product on one thread, the best of some, by dtype."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fp32 = _best(torch.float32, enough=float("inf"))
        return {"bfloat16": _best(torch.bfloat16, enough=HOPELESS * fp32), "float32": fp32}
    finally:
        torch.set_num_threads(threads)


def _best(dtype: torch.dtype, *, enough: float) -> float:
    """The fastest repetition; from the second on, one that takes longer than `enough` is the last.

    The first one also prepares the kernel.
    """
    rows, inner, columns = SHAPE
    inputs, weights = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
    best = float("inf")
    for repetition in range(REPETITIONS):
        began = time.thread_time()
        torch.mm(inputs, weights)
        seconds = time.thread_time() - began
        best = min(best, seconds)
        if repetition > 0 and seconds > enough:
            break
    return best


def _gpus_have_bf16() -> bool:
    """Whether every visible GPU computes bf16 in hardware."""
    for index in range(torch.cuda.device_count()):
        with torch.cuda.device(index):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                return False
    return True


def main() -> None:
    """Print which dtype this machine prefers, and on a CPU what that was measured from."""
    if torch.cuda.is_available():
        answer: dict[str, object] = {"dtype": native_dtype("cuda"), "seconds": None}
    else:
        seconds = product_seconds()
        answer = {"dtype": preferred_dtype(seconds), "seconds": seconds}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
