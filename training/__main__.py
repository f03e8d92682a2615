"""`python -m training plan.json`: run one plan in a process of its own.

Progress and the end go to standard output as JSON lines (training/progress.py). Exit 0 with a
whole checkpoint at `plan.output`; 65 if the plan, or what it names, cannot lead to one; 70 if the
run failed; in both cases nothing is left at `output`.
"""

import json
import os
import signal
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from math import isfinite
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from holdfast.errors import CallerError, InvalidPlan
from holdfast.failures import detail_of, full_disk, trace
from holdfast.repairs.plan import Plan, read_plan
from training.devices.processes import rank, world
from training.recipes import RECIPES

EXIT_BAD_INPUT = 65  # sysexits: EX_DATAERR
EXIT_FAILED = 70  # sysexits: EX_SOFTWARE
EXIT_TERMINATED = 128 + signal.SIGTERM


def report(event: str, /, **fields: Any) -> None:
    """Write one event as a line, at once; of several processes the first one speaks for all."""
    if rank() > 0:
        return
    speakable = {name: None if is_unspeakable(value) else value for name, value in fields.items()}
    sys.stdout.write(json.dumps({"event": event, **speakable}, allow_nan=False) + "\n")
    sys.stdout.flush()


def is_unspeakable(value: Any) -> bool:
    """Whether the value is NaN or infinite, which neither JSON nor a database can hold."""
    return isinstance(value, float) and not isfinite(value)


def run(arguments: list[str]) -> None:
    """Run the plan that the single argument names."""
    began = time.monotonic()
    if len(arguments) != 1:
        raise InvalidPlan(f"expected one argument, the plan's path, got {len(arguments)}")
    plan = read_plan(Path(arguments[0]))
    with joined_processes(plan):
        added = RECIPES[plan.recipe](plan, report)
    seconds = time.monotonic() - began
    if plan.adapter_folder is not None and plan.adapter_folder.is_dir():
        added["adapter"] = str(plan.adapter_folder)
    if world() > 1:
        added["processes"] = world()
    report("done", output=str(plan.output), recipe=plan.recipe, seconds=seconds, **added)


def joined_processes(plan: Plan) -> AbstractContextManager[None]:
    """Join the other processes of the run; a single process loads nothing for that."""
    if world() == 1:
        return nullcontext()
    from training.devices.parallel import process_group

    return process_group(plan)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End through every `finally`, so that a canceled run cleans up after itself."""
    sys.exit(EXIT_TERMINATED)


def main() -> int:
    """The process: its signals, its environment, its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # same seed, same bytes on CUDA
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when a recipe loads transformers
    # transformers imports it for assisted decoding, which nobody asks for here: 1.7 s of every run
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]
    try:
        run(sys.argv[1:])
    except CallerError as error:
        report("error", error=error.title, detail=str(error))
        return EXIT_BAD_INPUT
    except Exception as error:  # noqa: BLE001 - the edge of the process; the parent reads the line
        sys.stderr.write(trace(error))
        error = full_disk(error) or error
        report("error", error=type(error).__name__, detail=detail_of(error))
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
