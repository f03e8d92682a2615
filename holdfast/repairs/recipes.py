"""The recipes, one literal table: what planning, submission, ladder and launcher know of each.

What a recipe does is in `training/recipes`, a file each. Nothing else here or there compares names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from holdfast.errors import InvalidPlan

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
    "safe_gradient",
    "oneshot",
    "third_stage",
]
DEPLOYED = "deployed"  # the template of a repair that changes it: the candidate's own for itself
JointRecipe = Literal["sequential", "mix", "alright", "maxright"]
RepairRecipe = Literal[MergingRecipe, RehearsingRecipe, JointRecipe]
Recipe = Literal["finetune", "merge_adapter", RepairRecipe]  # the first two make what is judged
PolicyRecipe = Literal["auto", RepairRecipe]  # auto climbs the ladder of them

Family = Literal["making", "merging", "searching", "rehearsing", "joint"]


@dataclass(frozen=True, slots=True)
class RecipeSpec:
    """One recipe, as others see it.

    `family` says which data is prepared: none for "making" and "merging", rows that a ratio is
    searched by, rows to rehearse, or those and pairs for two objectives. `trains`: it computes with
    whole models, so that a warm engine may have to make way. `shards`: it may be spread over
    processes. `without_task` is what it does where no task data is given: begins at the candidate
    with safety rows, or with answered look-alikes alone; None: it cannot do without.

    `unaligned`: it needs the model from before alignment. `retemplates`: what it makes is served,
    and gated, under a template of its own. `bounded`: a bound is checked on rows that train nothing
    and what is shipped is moved within it. `sliced`: losses may be taken on rows and pairs that
    train nothing. `steers`: its mix may follow what is lost. `one_batch`: every step trains the
    same few rows. `subspace`: some refusals say which directions are safe. `defaults` are fields of
    its plan where that does not set them.
    """

    family: Family
    trains: bool = True
    shards: bool = False
    without_task: Literal["safety rows", "answers"] | None = None
    unaligned: bool = False
    retemplates: bool = False
    bounded: bool = False
    sliced: bool = False
    steers: bool = False
    one_batch: bool = False
    subspace: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)


TASK_ALONE = {"task": 1, "refusals": 0, "answers": 0}
EARLY_STOP = {"mix": TASK_ALONE, "watch": {}}
ONESHOT = {
    "start": "candidate",
    "mix": {"task": 0, "refusals": 0.5, "answers": 0.5},
    "steps": 10,
    "warmup_steps": 2,
}

THIRD_STAGE = {
    "start": "candidate",
    "mix": {"task": 0.2, "refusals": 0.34, "answers": 0.46},
    "steps": 20,
}

RECIPES: dict[Recipe, RecipeSpec] = {
    "finetune": RecipeSpec("making", shards=True),
    "merge_adapter": RecipeSpec("making", trains=False),
    "ptst": RecipeSpec("merging", trains=False, retemplates=True),
    "wise_ft": RecipeSpec("merging", trains=False),
    "hma": RecipeSpec("searching"),
    "safe_merge": RecipeSpec("merging", trains=False, unaligned=True),
    "graft": RecipeSpec("merging", trains=False),
    "rehearsal": RecipeSpec("rehearsing", shards=True, without_task="safety rows", steers=True),
    "sma": RecipeSpec("rehearsing", shards=True),
    "early_stop": RecipeSpec("rehearsing", shards=True, defaults=EARLY_STOP),
    "reorder": RecipeSpec("rehearsing", shards=True),
    "kl_anchor": RecipeSpec("rehearsing", shards=True, bounded=True),
    "l2_anchor": RecipeSpec("rehearsing", shards=True),
    "l1_anchor": RecipeSpec("rehearsing", shards=True),
    "ewc": RecipeSpec("rehearsing", shards=True),
    "kd": RecipeSpec("rehearsing", shards=True),
    "constrained_sft": RecipeSpec("rehearsing", shards=True),
    "safe_gradient": RecipeSpec(
        "rehearsing", shards=True, subspace=True, defaults={"mix": TASK_ALONE}
    ),
    "oneshot": RecipeSpec(
        "rehearsing", shards=True, without_task="safety rows", one_batch=True, defaults=ONESHOT
    ),
    "third_stage": RecipeSpec(
        "rehearsing", shards=True, without_task="safety rows", steers=True, defaults=THIRD_STAGE
    ),
    "sequential": RecipeSpec("joint", shards=True, without_task="answers"),
    "mix": RecipeSpec("joint", shards=True, without_task="answers"),
    "alright": RecipeSpec("joint", shards=True, without_task="answers"),
    "maxright": RecipeSpec("joint", shards=True, without_task="answers", sliced=True),
}


def recipe_spec(recipe: str) -> RecipeSpec:
    """The table row of a recipe by its name; InvalidPlan where there is none."""
    for name, spec in RECIPES.items():
        if name == recipe:
            return spec
    raise InvalidPlan(f"unknown recipe {recipe!r}, expected one of {', '.join(RECIPES)}")
