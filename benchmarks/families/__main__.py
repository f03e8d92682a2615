"""Every tiny family on both engines: `make check-families`, or with F="llama mamba" some of them.

What a check found is saved at once, under the engine's version, so that a run that was stopped goes
on where it was. A family takes a second on transformers; on vLLM it is some minutes, in two dtypes,
with a tied head and with one of its own, and a process for each. docs/models.md is written from all
that is saved; which families vLLM may reload in place is a literal table of
workers/inference/vllm/swapping.py, and a test holds the two together.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.families import on_transformers
from benchmarks.families.on_vllm import HOME, Head
from benchmarks.families.outcome import Outcome, measured, save, together
from benchmarks.families.table import write_table
from holdfast.settings import make_folder
from tests.support.tiny_families import FAMILIES
from workers.children.guard import end_session
from workers.inference.backends import backend_of

LOGS = HOME / "log"  # what vLLM wrote about a family that broke down
RAISED = re.compile(r"[\w.]*(Error|Exception|Refused|Failed)\b")
CASES: tuple[tuple[str, Head], ...] = (("bfloat16", "tied"), ("float32", "own"))  # on vLLM
LIMIT = 900  # seconds; a family that has not ended by then has an outcome too

# in this order on vLLM: what must be swapped, what must not be swapped unseen, and the rest
FIRST = (
    "llama", "mistral", "qwen2", "qwen3", "gemma2", "gpt_neox",
    "mixtral", "qwen3_moe", "deepseek_v2", "glm4_moe", "gpt_oss",
    "gemma3_text", "phi3", "olmo2", "granite", "smollm3", "qwen3_next", "jamba", "mamba",
)  # fmt: skip


def main() -> None:
    """Check what has no outcome yet, and write the table."""
    parser = argparse.ArgumentParser(prog="make check-families")
    parser.add_argument("families", nargs="*")
    parser.add_argument("--engine", choices=("transformers", "vllm"), action="append")
    parser.add_argument("--again", action="store_true", help="also what has an outcome already")
    options = parser.parse_args()
    for engine in options.engine or ("transformers", "vllm"):
        backend = backend_of(engine, "float32")
        for family in options.families or in_order(FAMILIES):
            key = (backend.name, backend.version, family)
            if options.again or key not in measured():
                outcome = outcome_of(engine, family)
                save(key, outcome)
                write_table()
                print(f"{' '.join(key)}: {outcome.in_words()}", flush=True)


def in_order(families: Iterable[str]) -> list[str]:
    """Those named in FIRST before the others."""
    return [*FIRST, *(family for family in families if family not in FIRST)]


def outcome_of(engine: str, family: str) -> Outcome:
    """Run one check; its crash is an outcome."""
    if engine == "vllm":
        return together({dtype: outcome_of_child(family, dtype, head) for dtype, head in CASES})
    with tempfile.TemporaryDirectory() as folder:
        try:
            return on_transformers.check(family, Path(folder))
        except Exception as error:  # noqa: BLE001  whatever a model's code raises
            return Outcome(crashed=f"{type(error).__name__}: {error}")


def outcome_of_child(family: str, dtype: str, head: Head) -> Outcome:
    """Run one check on vLLM, whose processes end with the child."""
    make_folder(LOGS)
    command = [sys.executable, "-m", "benchmarks.families.on_vllm", family, dtype, head]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            output, errors = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return Outcome(crashed=f"no end within {LIMIT} seconds")
        finally:
            end_session(child.pid, grace=0.0)
    if child.returncode == 0:
        return Outcome(**json.loads(output.splitlines()[-1]))
    (LOGS / f"{family}-{dtype}.log").write_text(output + errors, encoding="utf-8")
    raised = [line for line in errors.splitlines() if RAISED.match(line)]
    return Outcome(crashed=raised[-1] if raised else f"exit status {child.returncode}")


if __name__ == "__main__":
    main()
