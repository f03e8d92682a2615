"""Every recipe, by the name that a plan gives it.

A recipe takes a plan and a place to report to, leaves a whole checkpoint in `plan.output` or
nothing, and returns what it adds to the closing event. `finetune` is what users do to a model;
the others repair what that does.
"""

from collections.abc import Callable

from holdfast.remediation import Plan, Recipe
from training.progress import Report
from training.recipes import finetune, rehearsal, wise_ft

RECIPES: dict[Recipe, Callable[[Plan, Report], dict[str, float | None]]] = {
    "finetune": finetune.run,
    "wise_ft": wise_ft.run,
    "rehearsal": rehearsal.run,
}
