"""How fast this machine generates, as a finding of `holdfast doctor`: the rate, and what slows it.

A process measures it with the real engine (workers/children/speed.py); here it becomes a sentence.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from holdfast.cli.command import note
from holdfast.errors import HarnessError
from holdfast.forecast.cost import TWO_CORES
from holdfast.settings import Settings, child_environment, make_folder

SLOW = TWO_CORES.generated / 5  # tokens a second, below which a standard gate takes hours
BUSY_CORES = 0.5
EMULATED = 2.0  # times the seconds of float32 that a product takes in bfloat16


def measure_speed(settings: Settings) -> dict[str, Any]:
    """Start the engine on a random model and time it; HarnessError where it does not run."""
    run = settings.home / "run"
    make_folder(run)
    note("measuring the engine on a random model of 135M weights; this takes a minute or two")
    done = subprocess.run(
        [sys.executable, "-m", "workers.children.speed"],
        cwd=run,
        env=child_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise HarnessError(f"the engine does not run on a random model: {last}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def in_words(measured: dict[str, Any]) -> tuple[bool, str]:
    """Whether it is fast enough, and the sentence that says how fast and why not faster."""
    rate = float(measured["tokens_per_second"])
    sentence = (
        f"{rate:,.0f} tokens a second of a model of 135M weights in {measured['dtype']}, "
        f"{measured['start_seconds']:.0f} s to start ({measured['engine']})"
    )
    reasons = list(what_slows(measured))
    if rate >= SLOW:
        return True, "; ".join((sentence, *reasons))
    why = "; ".join(reasons) or f"{measured['cores']} cores of this kind are not more"
    return False, (
        f"{sentence}, expected {SLOW:.0f} (two idle cores with bf16: {TWO_CORES.generated:.0f}): "
        f"{why}; use tier demo, a smaller model or an accelerator"
    )


def what_slows(measured: dict[str, Any]) -> Iterator[str]:
    """The reasons why the engine is slow that were seen, each with what to do."""
    seconds = measured["product_seconds"]
    if seconds is not None and seconds["bfloat16"] > EMULATED * seconds["float32"]:
        times = seconds["bfloat16"] / seconds["float32"]
        yield f"this processor emulates bfloat16, {times:.0f} times slower than float32" + (
            "" if measured["dtype"] == "float32" else "; set HOLDFAST_DTYPE to auto or float32"
        )
    if measured["busy_cores"] >= BUSY_CORES:
        yield (
            f"other programs keep {measured['busy_cores']:.1f} of {measured['cores']} cores at "
            "work, and the engine leaves those to them; end them for its full speed"
        )
