"""`maxright` run whole on the tiny model: what it measures, when, and which side it takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.repairs.plan import Plan
from tests.training.conftest import digest, losses, steps
from training.progress import Report
from training.recipes import RECIPES
from training.recipes.joint import two_sides

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


def test_maxright_measures_its_optima_unless_they_are_given(
    joint: PlanOf, report: Report, events: Events
) -> None:
    knobs = {"optimum_steps": 4, "task_optimum": 1.25}
    ended = RECIPES["maxright"](joint("maxright", steps=2, preference=knobs), report)
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert len(notes) == 1
    assert notes[0].startswith("preference alone reaches a loss of")
    assert ended["task_optimum"] == 1.25
    assert 0 < ended["preference_optimum"] < 0.6931  # type: ignore[operator]


def test_measuring_the_optima_leaves_the_policy_as_it_was(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    given = {"task_optimum": 0.0, "preference_optimum": 0.0, "share": 1.0}
    first = joint("maxright", output=tmp_path / "a", preference=given)
    second = joint("maxright", output=tmp_path / "b", preference={"share": 1.0})
    for plan in (first, second):
        RECIPES["maxright"](plan, report)
    assert digest(first) == digest(second)


def test_maxright_looks_at_the_neglected_side_every_few_steps(
    joint: PlanOf, report: Report, events: Events
) -> None:
    knobs = {"every": 4, "task_optimum": 0.0, "preference_optimum": 0.0}
    RECIPES["maxright"](joint("maxright", steps=13, preference=knobs), report)
    oldest = [event["oldest"] for event in steps(events)]
    assert [event["preference"] for event in steps(events)] == [0.0] * 13  # nats a token are more
    assert oldest == [0, 1, 2, 3, 1, 1, 2, 3, 1, 1, 2, 3, 1]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_maxright_counts_from_the_optima_and_averages_what_it_measures(
    joint: PlanOf, report: Report, events: Events, ema: float
) -> None:
    knobs = {"task_optimum": 0.5, "preference_optimum": 99.0, "ema": ema, "share": 0.25}
    plan = joint("maxright", steps=4, preference=knobs)
    known = losses(two_sides(plan, report))["task"]
    RECIPES["maxright"](plan, report)
    for event in steps(events):
        assert (event["preference"], event["preference_gap"]) == (0.0, 0.0)
        assert event["task_gap"] == pytest.approx(0.75 * (known - 0.5), abs=1e-4)
        known = ema * known + (1 - ema) * event["loss"]


@pytest.mark.parametrize(("hysteresis", "changes"), [(0.0, True), (9.0, False)])
def test_maxright_stays_with_its_side_for_the_hysteresis(
    joint: PlanOf, report: Report, events: Events, hysteresis: float, changes: bool
) -> None:
    begin = losses(two_sides(joint("maxright"), report))
    level = {"task_optimum": begin["task"] - 0.1, "preference_optimum": begin["preference"] - 0.1}
    knobs = level | {"hysteresis": hysteresis, "ema": 0.0}
    RECIPES["maxright"](joint("maxright", steps=10, preference=knobs), report)
    took = {event["preference"] for event in steps(events)}
    assert (len(took) == 2) == changes
