"""Safety last, or no longer than safety lasts."""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Mix, Plan, rows_drawn
from training.progress import Report
from training.recipes import RECIPES
from training.recipes.reorder import safety_last

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


def test_every_task_row_comes_before_any_other_and_none_is_lost() -> None:
    counts = rows_drawn(Mix(), 80)
    order = safety_last(counts)
    assert {kind: order.count(kind) for kind in counts} == counts
    assert set(order[: counts["task"]]) == {"task"}
    later = order[counts["task"] :]
    assert set(later[:4]) == {"refusal", "answer"}


def test_reorder_trains_to_the_end(plan_of: PlanOf, report: Report, events: Events) -> None:
    plan = plan_of("reorder", steps=6)
    RECIPES["reorder"](plan, report)
    assert [event["step"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert (plan.output / "model.safetensors").is_file()


def test_a_third_stage_goes_on_from_the_candidate_with_more_safety_than_task(
    plan_of: PlanOf, report: Report, events: Events
) -> None:
    plan = plan_of("third_stage", steps=4)
    assert (plan.start, plan.mix) == ("candidate", Mix(task=0.2, refusals=0.34, answers=0.46))
    RECIPES["third_stage"](plan, report)
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2, 3, 4]
    assert (plan.output / "model.safetensors").is_file()


def test_a_third_stage_without_refusals_is_refused_and_writes_nothing(
    plan_of: PlanOf, report: Report
) -> None:
    plan = plan_of("third_stage", mix={"task": 0.5, "refusals": 0, "answers": 0.5})
    with pytest.raises(InvalidPlan, match="replays refusals"):
        RECIPES["third_stage"](plan, report)
    assert not plan.output.exists()


def test_early_stop_watches_without_being_told(
    plan_of: PlanOf, report: Report, events: Events
) -> None:
    watch = {"limit": 99.0, "rows": 3}
    RECIPES["early_stop"](plan_of("early_stop", steps=5, watch=watch), report)
    assert [event["step"] for event in events if event["event"] == "watch"] == [0, 1, 2, 4]


@pytest.mark.parametrize("missing", ["task_data", "rehearsal_data"])
def test_early_stop_needs_the_task_and_refusals_to_watch(
    plan_of: PlanOf, report: Report, missing: str
) -> None:
    with pytest.raises(InvalidPlan, match=missing):
        RECIPES["early_stop"](plan_of("early_stop", **{missing: None}), report)
