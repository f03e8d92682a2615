"""The recipes by name, in the families that share how they are planned."""

from typing import Literal

Kind = Literal["task", "refusal", "answer"]  # of rows that recipes train on
MergingRecipe = Literal["ptst", "wise_ft", "hma", "safe_merge", "graft"]
RehearsingRecipe = Literal[
    "rehearsal",
    "sma",
    "early_stop",
    "reorder",
    "kl_anchor",
    "l2_anchor",
    "l1_anchor",
    "ewc",
    "kd",
    "constrained_sft",
]
JointRecipe = Literal["sequential", "mix", "alright", "maxright"]
RepairRecipe = Literal[MergingRecipe, RehearsingRecipe, JointRecipe]
Recipe = Literal["finetune", "merge_adapter", RepairRecipe]  # the first two make what is judged
PolicyRecipe = Literal["auto", RepairRecipe]  # auto climbs the ladder of them
