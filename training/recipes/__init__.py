"""Every recipe, by the name that a plan gives it.

A recipe takes a plan and a place to report to, leaves a whole checkpoint in `plan.output` or
nothing, and returns what it adds to the closing event. `finetune` is what users do to a model;
the others repair what that does.
"""

from collections.abc import Callable
from typing import Any

from holdfast.remediation import Plan, Recipe
from training.progress import Report
from training.recipes import (
    alright,
    finetune,
    graft,
    hma,
    kl_anchor,
    maxright,
    mix,
    rehearsal,
    safe_merge,
    sequential,
    wise_ft,
)

RECIPES: dict[Recipe, Callable[[Plan, Report], dict[str, Any]]] = {
    "finetune": finetune.run,
    "wise_ft": wise_ft.run,
    "hma": hma.run,
    "safe_merge": safe_merge.run,
    "graft": graft.run,
    "rehearsal": rehearsal.run,
    "kl_anchor": kl_anchor.run,
    "sequential": sequential.run,
    "mix": mix.run,
    "alright": alright.run,
    "maxright": maxright.run,
}
