"""`maxright` run whole on the tiny model: what it measures, when, and which side it takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.errors import InvalidPlan
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


@pytest.mark.parametrize(("given", "steps"), [(None, 8), (3, 3)])
def test_an_optimum_is_measured_over_as_many_steps_as_the_plan_has_or_as_are_given(
    joint: PlanOf, report: Report, events: Events, given: int | None, steps: int
) -> None:
    knobs = {"share": 0.25, "task_optimum": 1.0, "optimum_steps": given}
    RECIPES["maxright"](joint("maxright", steps=8, preference=knobs), report)
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert [note.rpartition(" in ")[2] for note in notes] == [f"{steps} steps"]


def test_a_measured_optimum_is_kept_for_the_same_run_and_no_other(
    tmp_path: Path, joint: PlanOf, report: Report, events: Events
) -> None:
    def notes_of(name: str, **fields: Any) -> list[bool]:
        knobs = {"task_optimum": 1.0, "optimum_steps": 2}
        places = {"output": tmp_path / name, "reference_cache": tmp_path / "kept"}
        began = len(events)
        plan = joint("maxright", steps=4, **places, **({"preference": knobs} | fields))
        found = RECIPES["maxright"](plan, report)
        optima.append(found["preference_optimum"])
        return [
            "earlier run" in event["text"] for event in events[began:] if event["event"] == "note"
        ]

    optima: list[float | None] = []
    assert notes_of("a") == [False]
    assert notes_of("b") == [True]
    assert optima[0] == optima[1]
    for name, change in {
        "seed": {"seed": 5},
        "rate": {"learning_rate": 1e-5},
        "steps": {"preference": {"task_optimum": 1.0, "optimum_steps": 3}},
        "rows": {"batch_size": 2},
    }.items():
        assert notes_of(name, **change) == [False], name


def test_a_kept_optimum_that_is_damaged_is_refused_by_name(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    knobs = {"task_optimum": 1.0, "optimum_steps": 2}
    for name in ("a", "b"):
        plan = joint(
            "maxright", steps=2, output=tmp_path / name, reference_cache=tmp_path / "kept",
            preference=knobs,
        )  # fmt: skip
        if name == "a":
            RECIPES["maxright"](plan, report)
            (kept,) = (tmp_path / "kept").glob("optimum-*.json")
            kept.write_text("{")
            continue
        with pytest.raises(InvalidPlan, match=r"optimum-.* is damaged .*; remove it"):
            RECIPES["maxright"](plan, report)


def test_the_least_losses_so_far_may_stand_for_the_optima(
    joint: PlanOf, report: Report, events: Events
) -> None:
    plan = joint("maxright", steps=6, preference={"optima": "running", "every": 1})
    ended = RECIPES["maxright"](plan, report)
    assert not [event for event in events if event["event"] == "note"]
    first = steps(events)[0]
    assert (first["task_gap"], first["preference_gap"], first["preference"]) == (0.0, 0.0, 1.0)
    assert 0 < ended["preference_optimum"] < 0.6931  # type: ignore[operator]


@pytest.mark.parametrize("given", ["task_optimum", "preference_optimum", "optimum_steps"])
def test_optima_are_either_known_or_running(joint: PlanOf, given: str) -> None:
    with pytest.raises(ValidationError, match="optima: running takes the least losses so far"):
        joint("maxright", preference={"optima": "running", given: 2})


def test_a_run_may_end_at_an_optimum(joint: PlanOf, report: Report, events: Events) -> None:
    knobs = {"task_optimum": 0.0, "preference_optimum": 99.0, "stop_at_optimum": True}
    RECIPES["maxright"](joint("maxright", steps=6, preference=knobs), report)
    assert len(steps(events)) == 1
    assert events[-1]["text"] == "an optimum is reached at step 1; the run ends"


def test_measuring_the_optima_leaves_the_policy_as_it_was(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    given = {"task_optimum": 0.0, "preference_optimum": 0.0, "share": 1.0}
    first = joint("maxright", output=tmp_path / "a", preference=given)
    second = joint("maxright", output=tmp_path / "b", preference={"share": 1.0})
    for plan in (first, second):
        RECIPES["maxright"](plan, report)
    assert digest(first) == digest(second)


def test_maxright_measures_both_sides_every_few_steps(
    joint: PlanOf, report: Report, events: Events
) -> None:
    knobs = {"every": 4, "task_optimum": 0.0, "preference_optimum": 0.0}
    RECIPES["maxright"](joint("maxright", steps=13, preference=knobs), report)
    oldest = [event["oldest"] for event in steps(events)]
    assert [event["preference"] for event in steps(events)] == [0.0] * 13  # nats a token are more
    assert oldest == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_maxright_counts_from_the_optima_and_averages_what_it_measures(
    joint: PlanOf, report: Report, events: Events, ema: float
) -> None:
    knobs = {"task_optimum": 0.5, "preference_optimum": 99.0, "ema": ema, "share": 0.25}
    plan = joint("maxright", steps=4, preference=knobs)
    known, level = losses(two_sides(plan, report)).values()
    RECIPES["maxright"](plan, report)
    for event in steps(events):
        assert event["preference"] == 0.0
        assert event["preference_gap"] == pytest.approx(0.25 * (level - 99.0), abs=1e-3)
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
