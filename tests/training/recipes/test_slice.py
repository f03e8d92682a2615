"""A slice that nothing trains on, and on which maxright measures both losses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import InvalidTaskData
from holdfast.repairs.plan import Plan
from training.objectives.alternation import OBJECTIVES
from training.progress import Report
from training.recipes import RECIPES
from training.recipes.joint import two_sides

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


def test_maxright_measures_on_a_slice_that_nothing_trains_on(
    tmp_path: Path, joint: PlanOf, report: Report, events: Events
) -> None:
    knobs = {"every": 4, "slice": 7, "optimum_steps": 2, "share": 0.5}
    plan = joint("maxright", steps=9, preference=knobs, output=tmp_path / "whole")
    sides = two_sides(plan, report)
    kept = sides.slice
    assert kept is not None
    assert (len(kept.rows), len(kept.contests), len(kept.reference)) == (7, 7, 7)
    assert not {row for turn in sides.tasks for row in turn} & set(kept.rows)
    assert not set(kept.contests) & set(sides.contests)
    assert len(sides.contests) == 12 - 7
    before = {one: sides.measure(one, 3) for one in OBJECTIVES}
    assert before == {one: sides.measure(one, 0) for one in OBJECTIVES}
    ended = RECIPES["maxright"](plan, report)
    steps = [event for event in events if event["event"] == "step"]
    first = steps[0]
    assert first["task_gap"] == pytest.approx(0.5 * (before["task"] - ended["task_optimum"]))
    assert [event["oldest"] for event in steps] == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    gaps = [(event["task_gap"], event["preference_gap"]) for event in steps]
    assert gaps[0] == gaps[3] != gaps[4] == gaps[7]


@pytest.mark.parametrize("size", [12, 50])
def test_a_slice_that_leaves_nothing_to_train_on_is_refused(
    joint: PlanOf, report: Report, size: int
) -> None:
    with pytest.raises(InvalidTaskData, match=f"holds {size} pairs back and there are 12"):
        RECIPES["maxright"](joint("maxright", preference={"slice": size}), report)


def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    def killed(event: str, /, **fields: Any) -> None:
        if event == "step" and fields["step"] == 6:
            raise KeyboardInterrupt

    knobs = {"steps": 8, "preference": {"every": 3, "optimum_steps": 2, "slice": 5}}
    whole = joint("maxright", output=tmp_path / "whole", **knobs)
    cut = joint("maxright", resume=tmp_path / "state", save_seconds=0, **knobs)
    RECIPES["maxright"](whole, report)
    with pytest.raises(KeyboardInterrupt):
        RECIPES["maxright"](cut, killed)
    RECIPES["maxright"](cut, report)
    ours, theirs = ((plan.output / "model.safetensors").read_bytes() for plan in (cut, whole))
    assert ours == theirs
