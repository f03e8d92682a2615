"""Every recipe that `holdfast.repairs.recipes` lists, by the name that a plan gives it.

A recipe takes a plan and a place to report to, leaves a whole checkpoint in `plan.output` or
nothing, and returns what it adds to the closing event. It is the function `run` of the module that
is called as it is, but where one module holds several. A module is loaded when it is run: a merge
of files needs no model library, whose import would take longer and more memory than the merge.
"""

from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name
from typing import Any

from holdfast.repairs import recipes
from holdfast.repairs.plan import Plan
from training.progress import Report

Run = Callable[[Plan, Report], dict[str, Any]]

ELSEWHERE: dict[recipes.Recipe, str] = {  # pulls to a reference, which differ in one function each
    "l2_anchor": "weight_anchor:l2_anchor",
    "l1_anchor": "weight_anchor:l1_anchor",
    "ewc": "weight_anchor:elastic",
}


def _run(place: str, plan: Plan, report: Report) -> dict[str, Any]:
    recipe: Run = resolve_name(f"training.recipes.{place}")
    return recipe(plan, report)


RECIPES: dict[recipes.Recipe, Run] = {
    name: partial(_run, ELSEWHERE.get(name, f"{name}:run")) for name in recipes.RECIPES
}
