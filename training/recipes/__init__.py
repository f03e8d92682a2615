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
    constrained_sft,
    early_stop,
    finetune,
    graft,
    hma,
    kd,
    kl_anchor,
    maxright,
    mix,
    ptst,
    rehearsal,
    reorder,
    safe_merge,
    sequential,
    sma,
    weight_anchor,
    wise_ft,
)

RECIPES: dict[Recipe, Callable[[Plan, Report], dict[str, Any]]] = {
    "finetune": finetune.run,
    "ptst": ptst.run,
    "wise_ft": wise_ft.run,
    "hma": hma.run,
    "safe_merge": safe_merge.run,
    "graft": graft.run,
    "rehearsal": rehearsal.run,
    "sma": sma.run,
    "early_stop": early_stop.run,
    "reorder": reorder.run,
    "kl_anchor": kl_anchor.run,
    "l2_anchor": weight_anchor.l2_anchor,
    "l1_anchor": weight_anchor.l1_anchor,
    "ewc": weight_anchor.elastic,
    "kd": kd.run,
    "constrained_sft": constrained_sft.run,
    "sequential": sequential.run,
    "mix": mix.run,
    "alright": alright.run,
    "maxright": maxright.run,
}
