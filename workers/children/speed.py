"""How fast the configured engine generates on this machine, and what slows it down.

    python -m workers.children.speed        → one JSON document, for `holdfast doctor`

A random model of SmolLM2-135M's shape answers some short prompts through the real runner. The first
pass is short and not counted.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.errors import EngineFailed
from holdfast.probes.engine import Prompt, Sampling
from holdfast.probes.question import chat
from holdfast.settings import Settings, make_folder, read_settings
from workers.children.dtype import load_or_measure
from workers.children.environment import runner_environment
from workers.children.last_words import telling_line
from workers.children.supervisor import RunnerEngine
from workers.children.threads import busy_cores

BUILDING = "workers.inference.random_model"
PROMPTS: tuple[Prompt, ...] = tuple(
    chat(f"{number}: name {number + 2} things that float") for number in range(32)
)
MAX_TOKENS = 16


def main() -> None:
    """Measure, and print what was found."""
    settings = read_settings()
    others = busy_cores()
    with TemporaryDirectory(prefix="speed-", dir=_scratch(settings)) as scratch:
        folder = Path(scratch) / "model"
        build(folder, settings)
        speed = {
            **generation(folder, settings),
            "cores": len(os.sched_getaffinity(0)),
            "busy_cores": round(others, 1),
            "product_seconds": load_or_measure(settings.home).seconds,
        }
    sys.stdout.write(json.dumps(speed) + "\n")


def _scratch(settings: Settings) -> Path:
    folder = settings.home / "work"
    make_folder(folder)
    return folder


def build(folder: Path, settings: Settings) -> None:
    """Have a child that loads torch write the model."""
    log = folder.with_name("build.log")
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", BUILDING, str(folder)],
            cwd=folder.parent,
            env=runner_environment(settings.home, os.environ, {}),
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode != 0:
        raise EngineFailed(f"the model to measure with could not be made: {telling_line(log)}")


def generation(folder: Path, settings: Settings) -> dict[str, object]:
    """Tokens a second of the second pass over the prompts, and how long the start took."""
    engine = RunnerEngine(settings)
    began = time.monotonic()
    try:
        engine.open(folder, None)
        started = time.monotonic() - began
        list(engine.generate(PROMPTS, Sampling(2)))  # kernels are prepared in it
        rate = tokens_per_second(engine, PROMPTS)
    finally:
        engine.close()
    return {
        "engine": engine.backend.name,
        "dtype": engine.backend.dtype,
        "start_seconds": round(started, 1),
        "tokens_per_second": round(rate, 1),
    }


def tokens_per_second(engine: RunnerEngine, prompts: Sequence[Prompt]) -> float:
    """Generated tokens a second over these prompts."""
    began = time.monotonic()
    tokens = sum(
        completion.tokens for _, completion in engine.generate(prompts, Sampling(MAX_TOKENS))
    )
    return tokens / (time.monotonic() - began)


if __name__ == "__main__":
    main()
