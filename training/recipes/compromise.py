"""The one run of every recipe with two objectives, and how good a compromise it came to.

Both losses are measured before the first step and after the last, on the slice where there is one,
else on the first batch of each objective. From these come, as in https://arxiv.org/abs/2410.15483,
the optimality gaps and their ideal distance, where the optima are known, and the hypervolume that
the end has gained over the start, which needs none. What the run took is told beside plain
fine-tuning; of a run that was killed and went on, which knows only its last part, it is not.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.repairs.plan import Plan
from training.objectives.alternation import Objective
from training.objectives.tradeoff import (
    Point,
    hypervolume,
    ideal_distance,
    normalised_distance,
    optimality_gaps,
)
from training.progress import Report
from training.recipes.joint import Memory, Sides
from training.runs.loop import Gradient, train
from training.runs.resume import will_resume
from training.runs.watch import StepCheck
from training.weights.trainable import save_checkpoint


def run_both(
    sides: Sides,
    plan: Plan,
    report: Report,
    gradient: Gradient,
    memory: Memory,
    *,
    check: StepCheck | None = None,
) -> dict[str, Any]:
    """Train, write the checkpoint, and return the figures of the run's end.

    `memory["optima"]`, where a recipe knows them, are the least losses of either objective alone;
    else what the plan gives of them counts.
    """
    costs, whole = sides.costs, not will_resume(plan)
    if whole:
        memory["start"] = both_losses(sides)

    def counted(step: int, rows: int) -> Mapping[str, float]:
        with costs.step():
            return gradient(step, rows)

    watch = check or sides.watch
    with costs.run():
        loss = train(sides.policy, plan, report, counted, memory=memory, watch=watch)
    beside = costs.beside_plain() if whole else {}
    save_checkpoint(sides.policy, plan)
    optima = memory.get("optima") or {
        "task": plan.preference.task_optimum,
        "preference": plan.preference.preference_optimum,
    }
    ended = figures(memory["start"], both_losses(sides), optima)
    return {"final_loss": loss, **ended, **beside}


def both_losses(sides: Sides) -> Point:
    """The losses of task and preferences as they are now, nats a token and nats a pair."""
    return sides.measure("task", 0), sides.measure("preference", 0)


def figures(
    start: Point, end: Point, optima: Mapping[Objective, float | None]
) -> dict[str, float | None]:
    """Losses, gaps, ideal distance and hypervolume by name; None for what needs unknown optima."""
    task, preference = optima["task"], optima["preference"]
    found: dict[str, float | None] = {
        "task_loss": end[0],
        "preference_loss": end[1],
        "hypervolume": hypervolume([end], start),
        "task_optimality_gap": None,
        "preference_optimality_gap": None,
        "ideal_distance": None,
        "normalised_distance": None,
    }
    if task is None or preference is None:
        return found
    is_measurable = min(optimality_gaps(start, (task, preference))) > 0
    gaps = optimality_gaps(end, (task, preference))
    return found | {
        "task_optimality_gap": gaps[0],
        "preference_optimality_gap": gaps[1],
        "ideal_distance": ideal_distance(end, (task, preference)),
        "normalised_distance": normalised_distance(end, (task, preference), start)
        if is_measurable
        else None,
    }
