"""The least loss that either objective of a joint recipe reaches alone: given, or measured.

It is measured by a run on that objective alone, from the same start, with the rows, the seed and
the rate of the plan, and as long as that unless a length is given. Such a run takes as long as its
steps do, so what it came to is kept beside the baseline's log-probabilities, not measured again.
"""

import hashlib
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.devices.parallel import from_first_rank
from training.devices.processes import rank
from training.objectives.alternation import Objective
from training.passes.reference import cache_file, contest_key
from training.progress import Report
from training.recipes.joint import Sides, alternating_gradient, copy_weights, restore_weights
from training.runs.loop import train
from training.weights.output import atomic_file

LAST = 5  # turns that the loss is averaged over
UNKNOWN = -1.0  # no loss is below 0
PLACES = {  # whose content counts, and is counted by its tokens and digests
    "adapter",
    "baseline",
    "candidate",
    "output",
    "preference_data",
    "reference_cache",
    "rehearsal_data",
    "resume",
    "task_data",
}


def optima(sides: Sides, plan: Plan, report: Report) -> dict[Objective, float]:
    """The least loss of either objective alone, nats a token and nats a pair."""
    planned: dict[Objective, float | None] = {
        "task": plan.preference.task_optimum,
        "preference": plan.preference.preference_optimum,
    }
    return {
        objective: measured(sides, plan, report, objective) if value is None else value
        for objective, value in planned.items()
    }


def measured(sides: Sides, plan: Plan, report: Report, objective: Objective) -> float:
    """The loss that a run on one objective ends with, by this run or by one that is kept."""
    alone = plan_alone(plan)
    cache = kept_optimum(sides, alone, objective)
    known = UNKNOWN if cache is None or not cache.exists() else _read(cache)
    if (known := from_first_rank(known)) != UNKNOWN:
        report("note", text=f"{objective} alone reached a loss of {known:.4g} in an earlier run")
        return known
    loss = loss_alone(sides, alone, objective)
    report("note", text=f"{objective} alone reaches a loss of {loss:.4g} in {alone.steps} steps")
    if cache is not None and rank() == 0:
        with atomic_file(cache) as partial:
            partial.write_text(json.dumps(loss))
    return loss


def plan_alone(plan: Plan) -> Plan:
    """The plan of a run on one objective, as long as the whole plan where no length is given.

    Its share of the steps does not reach the task's optimum, which then looks nearer to done than
    it is (docs/benchmarks.md).
    """
    steps = plan.preference.optimum_steps or plan.steps
    return plan.model_copy(
        update={"steps": steps, "warmup_steps": min(plan.warmup_steps, steps - 1), "resume": None}
    )


def loss_alone(sides: Sides, alone: Plan, objective: Objective) -> float:
    """The loss after a run on one objective; the policy is put back.

    On the slice, or where there is none on the last turns that it trained: what it said of them
    while it saw them for the first time is no optimum, and made the other side look further behind.
    """
    start = copy_weights(sides.policy)
    train(sides.policy, alone, _silent, alternating_gradient(sides, lambda _: objective, {}))
    turns = range(max(0, alone.steps - LAST), alone.steps) if sides.slice is None else [0]
    loss = fmean(sides.measure(objective, turn) for turn in turns)
    restore_weights(sides.policy, start)
    return loss


def _silent(_event: str, /, **_fields: Any) -> None:
    """A run whose steps nobody is told of."""


def kept_optimum(sides: Sides, alone: Plan, objective: Objective) -> Path | None:
    """The file for this optimum, named after all that it hangs on; None where nothing is kept."""
    if alone.reference_cache is None:
        return None
    weights = cache_file(alone.reference_cache, alone.start_checkpoint, sides.policy)
    parts = [weights.stem, objective, alone.model_dump_json(exclude=PLACES), *rows_of(sides)]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return weights.with_name(f"optimum-{digest}.json")


def rows_of(sides: Sides) -> list[object]:
    """Every row that either objective trains on or is measured on, by its tokens."""
    held = sides.slice
    return [
        [[[list(row.ids), row.prompt_tokens] for row in turn] for turn in sides.tasks],
        [contest_key(contest) for contest in sides.contests],
        sides.reference.tolist(),
        [list(draw) for draw in sides.draws],
        [] if held is None else [[list(row.ids), row.prompt_tokens] for row in held.rows],
        [] if held is None else [contest_key(contest) for contest in held.contests],
    ]


def _read(cache: Path) -> float:
    try:
        return float(json.loads(cache.read_text()))
    except (ValueError, TypeError) as error:
        raise InvalidPlan(f"{cache} is damaged ({error}); remove it") from error
