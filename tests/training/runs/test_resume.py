"""A run that was killed goes on to the bytes of one that was not."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.progress import Report
from training.recipes import RECIPES

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


class Killed(Exception):
    """Stands for the end of the process."""


def weights(plan: Plan) -> str:
    return hashlib.sha256((plan.output / "model.safetensors").read_bytes()).hexdigest()


def killed_after(step: int, report: Report) -> Report:
    def tell(event: str, /, **fields: Any) -> None:
        report(event, **fields)
        if event == "step" and fields["step"] == step:
            raise Killed

    return tell


def test_the_same_bytes_as_without_the_kill(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    plan = plan_of("rehearsal", steps=7, output=tmp_path / "whole")
    RECIPES[plan.recipe](plan, report)
    events.clear()
    kept = {"resume": tmp_path / "state", "save_seconds": 0, "output": tmp_path / "again"}
    cut = plan_of("rehearsal", steps=7, **kept)
    with pytest.raises(Killed):
        RECIPES[cut.recipe](cut, killed_after(4, report))
    assert not cut.output.exists()
    RECIPES[cut.recipe](cut, report)
    assert [event["step"] for event in events if "step" in event] == [1, 2, 3, 4, 4, 5, 6, 7]
    assert weights(cut) == weights(plan)


def test_another_plan_does_not_go_on_with_it(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    kept = {"resume": tmp_path / "state", "save_seconds": 0}
    with pytest.raises(Killed):
        RECIPES["rehearsal"](plan_of("rehearsal", **kept), killed_after(3, report))
    with pytest.raises(InvalidPlan, match="kept by another plan"):
        RECIPES["rehearsal"](plan_of("rehearsal", seed=9, **kept), report)


@pytest.mark.parametrize("when", ["meanwhile", "afterwards"])
def test_other_rows_in_the_same_file_do_not_go_on_with_it(
    tmp_path: Path, plan_of: PlanOf, task_data: Path, report: Report, when: str
) -> None:
    rows = tmp_path / "task.jsonl"
    rows.write_bytes(task_data.read_bytes())
    plan = plan_of("rehearsal", task_data=rows, resume=tmp_path / "state", save_seconds=0)

    def tell(event: str, /, **fields: Any) -> None:
        if when == "meanwhile" and event == "step" and fields["step"] == 1:
            other_rows()
        killed_after(3, report)(event, **fields)

    def other_rows() -> None:
        rows.write_text(task_data.read_text().split("\n", 1)[1])

    with pytest.raises(Killed):
        RECIPES["rehearsal"](plan, tell)
    other_rows()
    with pytest.raises(InvalidPlan, match="of other task rows"):
        RECIPES["rehearsal"](plan, report)


@pytest.mark.parametrize("left", [0, 2000])
def test_a_damaged_state_is_said_in_one_sentence(
    tmp_path: Path, plan_of: PlanOf, report: Report, left: int
) -> None:
    plan = plan_of("rehearsal", resume=tmp_path / "state", save_seconds=0)
    with pytest.raises(Killed):
        RECIPES["rehearsal"](plan, killed_after(3, report))
    file = tmp_path / "state" / "state.pt"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(InvalidPlan, match="is damaged; remove it"):
        RECIPES["rehearsal"](plan, report)


def test_a_state_that_has_no_place_is_refused_before_the_first_step(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "out", tmp_path / "file"):
        plan = plan_of("rehearsal", output=tmp_path / "out", resume=place, save_seconds=0)
        with pytest.raises(InvalidPlan, match="name a folder of its own"):
            RECIPES["rehearsal"](plan, report)
    assert not any("step" in event for event in events)
    assert not (tmp_path / "out").exists()


def test_nothing_is_kept_before_it_is_due(tmp_path: Path, plan_of: PlanOf, report: Report) -> None:
    plan = plan_of("rehearsal", resume=tmp_path / "state")
    RECIPES[plan.recipe](plan, report)
    assert not (tmp_path / "state").exists()
