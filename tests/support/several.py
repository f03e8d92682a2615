"""Plans one after the other in the processes of one launch: `accelerate launch several.py RUNS`.

Starting torch in two processes is what costs, so a test gives all its plans at once: RUNS is a JSON
list of {"plan": …, "killed_after": step or null}. Events go to standard output with the run's
number. A killed run ends after that step in every process, as if all had been.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from holdfast.repairs.plan import Plan
from training.devices.parallel import process_group
from training.devices.processes import rank
from training.recipes import RECIPES


class Killed(Exception):
    """Stands for the end of all processes."""


def run(number: int, plan: Plan, killed_after: int | None) -> None:
    """Run one plan, telling what it says."""

    def report(event: str, /, **fields: Any) -> None:
        if rank() == 0:
            sys.stdout.write(json.dumps({"run": number, "event": event, **fields}) + "\n")
        if event == "step" and fields["step"] == killed_after:
            raise Killed

    try:
        report("done", **RECIPES[plan.recipe](plan, report))
    except Killed:
        report("killed")


def main(path: Path) -> None:
    """All runs of the file, in one group of processes."""
    os.environ["HOLDFAST_DTYPE"] = "float32"  # so that only the order of sums differs
    runs = json.loads(path.read_text())
    plans = [Plan.model_validate(one["plan"]) for one in runs]
    with process_group(plans[0]):
        for number, (one, plan) in enumerate(zip(runs, plans, strict=True)):
            run(number, plan, one["killed_after"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
