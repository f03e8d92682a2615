"""Every recipe, by the name that a plan gives it.

A recipe takes a plan and a place to report to, leaves a whole checkpoint in `plan.output` or
nothing, and returns what it adds to the closing event. `finetune` is what users do to a model;
the others repair what that does. A recipe's module is loaded when it is run: a merge of files needs
no model library, whose import would take longer and more memory than the merge.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import Recipe
from training.progress import Report

Run = Callable[[Plan, Report], dict[str, Any]]


def _of(module: str, function: str = "run") -> Run:
    """The recipe in a module of this package, which the first run of it loads."""

    def run(plan: Plan, report: Report) -> dict[str, Any]:
        recipe: Run = getattr(import_module(f"training.recipes.{module}"), function)
        return recipe(plan, report)

    return run


RECIPES: dict[Recipe, Run] = {
    "finetune": _of("finetune"),
    "merge_adapter": _of("merge_adapter"),
    "ptst": _of("ptst"),
    "wise_ft": _of("wise_ft"),
    "hma": _of("hma"),
    "safe_merge": _of("safe_merge"),
    "graft": _of("graft"),
    "rehearsal": _of("rehearsal"),
    "sma": _of("sma"),
    "early_stop": _of("early_stop"),
    "reorder": _of("reorder"),
    "kl_anchor": _of("kl_anchor"),
    "l2_anchor": _of("weight_anchor", "l2_anchor"),
    "l1_anchor": _of("weight_anchor", "l1_anchor"),
    "ewc": _of("weight_anchor", "elastic"),
    "kd": _of("kd"),
    "constrained_sft": _of("constrained_sft"),
    "sequential": _of("sequential"),
    "mix": _of("mix"),
    "alright": _of("alright"),
    "maxright": _of("maxright"),
}
