"""One objective after the other: the task, then the baseline's answers preferred, or reversed.

What is usually done, and the yardstick of the joint recipes: with one policy and two objectives in
conflict, the second stage undoes part of the first, however long either is
(https://arxiv.org/abs/2410.15483). Knobs: `preference.share` of the steps for the preferences (.5),
`preference.first` ("task"), `preference.beta` (.1).
"""

from holdfast.repairs.plan import Plan
from training.objectives.alternation import Objective
from training.progress import Report
from training.recipes.compromise import run_both
from training.recipes.joint import Memory, alternating_gradient, realised_share, two_sides


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train one stage, then the other, and write the checkpoint."""
    sides = two_sides(plan, report)
    memory: Memory = {}
    gradient = alternating_gradient(sides, lambda step: stage(plan, step), memory)
    ended = run_both(sides, plan, report, gradient, memory)
    return {**ended, "preference_share": realised_share(memory)}


def stage(plan: Plan, step: int) -> Objective:
    """Which objective a step belongs to."""
    preferences = round(plan.preference.share * plan.steps)
    if plan.preference.first == "preference":
        return "preference" if step < preferences else "task"
    return "task" if step < plan.steps - preferences else "preference"
