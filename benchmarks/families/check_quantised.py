"""Quantised weights on vLLM: they score as the plain ones that they stand for, or are refused.

Part of `make check-families`; a start of vLLM for every method that it reads. Exit 1 where a score
is further off than bfloat16 explains, or where a method is read that was to be refused.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.families.on_vllm import HOME, RIGHT_WITHIN
from holdfast.errors import CheckpointRefused
from holdfast.settings import read_settings
from tests.support.plain_forward import score_deviation
from tests.support.quantised_llama import QUANTISERS, quantise
from tests.support.tiny_llama import build_tiny_llama
from workers.children.supervisor import RunnerEngine
from workers.inference.loading.quantisation import READ_BY


def main() -> int:
    """Score every method's packed model; the number of wrong ones is the exit code's reason."""
    engine = RunnerEngine(read_settings({"HOLDFAST_HOME": str(HOME), "HOLDFAST_ENGINE": "vllm"}))
    read = READ_BY[engine.backend.name]
    wrong = 0
    try:
        for method in QUANTISERS:
            with tempfile.TemporaryDirectory() as folder:
                nats = difference(engine, method, Path(folder))
            right = nats is not None and nats < RIGHT_WITHIN
            expected = method.split()[0] in read
            said = "refused" if nats is None else f"{nats:.3f} nats from the plain weights"
            print(f"{engine.backend.name} {engine.backend.version} {method}: {said}", flush=True)
            wrong += right != expected
    finally:
        engine.close()
    print(f"{wrong} of {len(QUANTISERS)} not as docs/checkpoints.md says")
    return 1 if wrong else 0


def difference(engine: RunnerEngine, method: str, folder: Path) -> float | None:
    """The largest difference of a score from that of the plain weights; None where refused."""
    plain = build_tiny_llama(folder / "plain", tied=False)
    packed = quantise(method, plain, folder / "packed")
    try:
        engine.open(packed, None)
    except CheckpointRefused:
        return None
    return score_deviation(engine, plain)


if __name__ == "__main__":
    sys.exit(main())
