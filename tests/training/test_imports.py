"""What a process loads: a merge of files has no use for a model library."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from holdfast.repairs.plan import Plan

PlanOf = Callable[..., Plan]
REPOSITORY = Path(__file__).parents[2]
MERGES = """
import sys
from pathlib import Path

import training.__main__
from holdfast.repairs.plan import read_plan
from training.recipes import RECIPES

for path in sys.argv[1:]:
    plan = read_plan(Path(path))
    RECIPES[plan.recipe](plan, lambda *_, **__: None)
print(*sorted({"transformers", "peft", "scipy", "accelerate"} & sys.modules.keys()))
"""


def test_merges_load_no_model_library(tmp_path: Path, plan_of: PlanOf) -> None:
    knobs = {"wise_ft": {}, "graft": {}, "hma": {"hma": {"groups": 2, "ratios": (0.8, 0.8)}}}
    paths = []
    for recipe, given in knobs.items():
        paths.append(tmp_path / f"{recipe}.json")
        plan = plan_of(recipe, output=tmp_path / recipe, **given)
        paths[-1].write_text(plan.model_dump_json())
    done = subprocess.run(
        [sys.executable, "-c", MERGES, *paths],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "\n"
    assert all((tmp_path / recipe / "config.json").exists() for recipe in knobs)
