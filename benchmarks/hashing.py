"""`make bench-hashing`: what the digest of a 2 GB model costs until its first answer.

As a worker goes about it: a fresh runner is started, and while it imports the folder is admitted,
which hashes it, and staged; the runner looks at it, loads it and answers. Beside the same with a
digest of the weights that reads nothing, which stands in for the real one here and nowhere else. In
turns, the file in the page cache, where the digest is what is read first of all and so costs most.
"""

import hashlib
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from holdfast.checkpoints import admission
from holdfast.checkpoints.chat_template import chat_template
from holdfast.probes.engine import Message, Sampling
from holdfast.settings import Settings, read_settings
from workers.children.supervisor import RunnerEngine
from workers.evaluation.noise import stage_checkpoint
from workers.inference import random_model
from workers.views import Views

SHAPE = {  # 1.0 billion weights, 2.1 GB in bfloat16
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 21,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
}
ROUNDS, LIMIT = 5, 1.05
LARGE = 1 << 24  # bytes of a file that can only be weights
QUESTION, SAMPLING = (Message("user", "Name three rivers."),), Sampling(max_tokens=16)


def first_answer(settings: Settings, model: Path) -> dict[str, float]:
    """Seconds until a model is staged, and until a fresh runner has answered once with it."""
    began = time.perf_counter()
    with closing(Views(settings.home)) as views, closing(RunnerEngine(settings)) as engine:
        engine.begin()
        checkpoint = stage_checkpoint(views, str(model), settings)
        staged = time.perf_counter() - began
        engine.examine(checkpoint.path)
        engine.open(checkpoint.path, chat_template(checkpoint.path))
        list(engine.generate([QUESTION], SAMPLING))
        if not checkpoint.view.untouched():
            raise SystemExit(f"{model} was touched; measure again")
        return {"staged": staged, "answered": time.perf_counter() - began}


@contextmanager
def without_digest() -> Iterator[None]:
    """Weights are not read for their digest while the block lasts; everything else is as it is."""

    def file_digest(file: Any, name: str) -> Any:
        if os.fstat(file.fileno()).st_size < LARGE:
            return hashlib.file_digest(file, name)
        return hashlib.new(name)

    with patch.object(admission, "hashlib", SimpleNamespace(file_digest=file_digest)):
        yield


WAYS: dict[str, Callable[[], Any]] = {"with the digest": nullcontext, "without": without_digest}


def measured(settings: Settings, model: Path) -> list[float]:
    """Ratios of the times to the first answer, a round each; who goes first alternates."""
    first_answer(settings, model)  # which leaves files and libraries in the page cache
    ratios = []
    for number in range(ROUNDS):
        seconds = {}
        for name in list(WAYS)[:: -1 if number % 2 else 1]:
            with WAYS[name]():
                seconds[name] = first_answer(settings, model)
        for name, times in seconds.items():
            print(f"{name}: staged {times['staged']:.2f} s, answered {times['answered']:.2f} s")
        ratios.append(seconds["with the digest"]["answered"] / seconds["without"]["answered"])
    return ratios


def main() -> int:
    """Measure; 0 if the median ratio is within its limit."""
    home = Path(mkdtemp(prefix="hf", dir="/var/tmp"))
    try:
        settings = read_settings(
            {
                "HOLDFAST_HOME": str(home),
                "HOLDFAST_CHECKPOINT_ROOTS": str(home),
                "HOLDFAST_ENGINE": sys.argv[1] if len(sys.argv) > 1 else "transformers",
                "HOLDFAST_DTYPE": "bfloat16",
            }
        )
        random_model.SHAPE.update(SHAPE)
        random_model.write_random_model(home / "model")
        size = (home / "model" / "model.safetensors").stat().st_size
        print(f"{size / 1e9:.2f} GB; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        ratios = measured(settings, home / "model")
    finally:
        shutil.rmtree(home)
    ratio, spread = statistics.median(ratios), f"{min(ratios):.3f}-{max(ratios):.3f}"
    print(f"first answer with the digest: {ratio:.3f} of that without ({spread}), limit {LIMIT}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
