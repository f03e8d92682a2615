"""One run of the joint benchmark, in a process of its own: `python -m benchmarks.joint_run JSON`.

JSON names recipe, chain, data and knobs; the losses, seconds and memory go to standard output as
its last line. No checkpoint is written.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.joint_data import SLICES
from holdfast.repairs.plan import Plan
from holdfast.repairs.task_data import read_preferences, read_task_data
from training.objectives.alternation import draw_objective
from training.passes.preference import preference_mean, tokenise_pairs
from training.passes.reference import reference_logprobs
from training.progress import Report
from training.recipes.joint import Memory, Sides, alternating_gradient, two_sides
from training.recipes.maxright import maxright_gradient
from training.recipes.mix import weighted_sum_gradient
from training.recipes.optima import optima
from training.recipes.sequential import stage
from training.rows.batches import tokenise
from training.runs.loop import Gradient, train
from training.runs.watch import mean_nats
from training.weights.model import load_policy, load_tokenizer

NOWHERE = Path("/nowhere")  # where the plan would write its checkpoint
SLICE_ROWS, SLICE_PAIRS = 32, 24

Losses = dict[str, list[float]]  # of the task and of the preferences, by slice


def train_one(
    recipe: str, chain: Path, data: dict[str, Path], *, betas: Any = None, **knobs: Any
) -> dict[str, Any]:
    """Train as the recipe does; the losses that it begins and ends with, its seconds and memory."""
    if betas is not None:
        torch.optim.AdamW = partial(torch.optim.AdamW, betas=tuple(betas))  # type: ignore[assignment]
    paths = {name: path for name, path in data.items() if not name.startswith("held")}
    plan = Plan.model_validate(
        {"recipe": recipe, "baseline": chain / "aligned", "output": NOWHERE}
        | {"candidate": chain.parent / "published"}
        | paths
        | knobs
    )
    steps: list[dict[str, Any]] = []

    def report(event: str, /, **fields: Any) -> None:
        if event == "step":
            steps.append(fields | {"clock": time.perf_counter(), "cpu": time.process_time()})

    sides = two_sides(plan, report)
    losses = losses_of(sides, plan, data)
    memory: Memory = {}
    began, clock = losses(), time.perf_counter()
    gradient = gradient_of(sides, plan, memory, report)
    train(sides.policy, plan, report, gradient, memory=memory)
    seconds = time.perf_counter() - clock
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {
        **{
            unit: [after[unit] - before[unit] for before, after in pairwise(steps)]
            for unit in ("clock", "cpu")
        },
        "recipe": recipe,
        "preference": [one.get("preference", 0.5) for one in steps[1:]],
        "peak_mb": int(peak[1]) / 1024,  # type: ignore[index]
        "seconds": seconds,
        "optima": memory.get("optima"),
        "began": began,
        "ended": losses(),
    }


def gradient_of(sides: Sides, plan: Plan, memory: Memory, report: Report) -> Gradient:
    """The gradient of the plan's recipe; `maxright` measures the optima that it has not."""
    share = plan.preference.share
    if plan.recipe == "mix":
        return weighted_sum_gradient(sides, share)
    if plan.recipe == "maxright":
        running = plan.preference.optima == "running"
        memory["optima"] = None if running else optima(sides, plan, report)
        return maxright_gradient(sides, plan, memory)
    if plan.recipe == "alright":
        return alternating_gradient(
            sides, lambda step: draw_objective(plan.seed, step, share), memory
        )
    return alternating_gradient(sides, partial(stage, plan), memory)


def losses_of(sides: Sides, plan: Plan, data: dict[str, Path]) -> Callable[[], Losses]:
    """The losses of task and preferences on each slice that there is, now and later."""
    rows = [example for step in sides.tasks for example in step][:SLICE_ROWS]
    pairs = slice(SLICE_PAIRS)
    slices = {SLICES[0]: (rows, sides.contests[pairs], sides.reference[pairs])}
    if "held_pairs" in data:
        tokenizer = load_tokenizer(plan.baseline)
        path = Path(data["held_pairs"])
        contests = tokenise_pairs(read_preferences(path), tokenizer, plan.max_length, path)
        known = reference_logprobs(load_policy(plan.baseline), contests, sides.how.pad, None)
        path = Path(data["held_rows"])
        others = tokenise(read_task_data(path), tokenizer, plan.max_length, path)
        slices[SLICES[1]] = (others, contests, known)

    def losses() -> Losses:
        return {
            name: [
                mean_nats(sides.policy, examples, sides.how.pad),
                preference_mean(sides.policy, contests, reference, sides.how),
            ]
            for name, (examples, contests, reference) in slices.items()
        }

    return losses


def main(asked: dict[str, Any]) -> None:
    """Train what is asked and print what came of it."""
    chain = Path(asked["chain"])
    print(json.dumps(train_one(asked["recipe"], chain, asked["data"], **asked["knobs"])))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
