"""Both objectives in every step: the gradient of their weighted sum.

λ · preference loss + (1 - λ) · task loss, made by two backward passes before one optimizer step, so
only one of the two graphs is in memory at a time. A step costs what one of each would. Knobs:
`preference.share` λ (.5), `preference.beta` (.1). The losses have different units (nats a pair,
nats a token), so λ weighs this model's numbers and not their importance.
"""

from collections.abc import Mapping

from holdfast.repairs.plan import Plan
from training.objectives.alternation import OBJECTIVES, Objective
from training.progress import Report
from training.recipes.compromise import run_both
from training.recipes.joint import Sides, two_sides
from training.runs.loop import Gradient


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train on the weighted sum and write the checkpoint."""
    sides = two_sides(plan, report)
    gradient = weighted_sum_gradient(sides, plan.preference.share)
    return run_both(sides, plan, report, gradient, {})


def weighted_sum_gradient(sides: Sides, share: float) -> Gradient:
    """The gradient of the weighted sum; an objective of weight 0 is not computed."""
    weights: dict[Objective, float] = {"task": 1 - share, "preference": share}

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        figures: dict[str, float] = {"loss": 0.0, "tokens": 0}
        for objective in OBJECTIVES:
            if not weights[objective]:
                continue
            turn_figures = sides.learn(objective, step, rows, scale=weights[objective])
            figures["loss"] += weights[objective] * turn_figures.pop("loss")
            figures["tokens"] += turn_figures.pop("tokens")
            figures |= turn_figures
        return figures

    return gradient
