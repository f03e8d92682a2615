"""A mix that follows the refusals: what it draws and when it moves, killed or not."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.errors import InvalidTaskData
from holdfast.repairs.plan import Mix, Plan
from holdfast.repairs.recipes import Kind
from training.progress import Report
from training.recipes import RECIPES
from training.rows.batches import Example
from training.runs.controllers import share_after
from training.runs.sources import read_sources, watched_rows
from training.runs.steering import next_rows, shares

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
SCARCE = Mix(task=0.8, refusals=0.1, answers=0.1)


class Killed(Exception):
    """Stands for the end of the process."""


def test_the_share_rises_by_a_half_and_falls_by_a_tenth_within_its_bounds() -> None:
    share, found = 0.2, []
    for cost in (0.4, 0.6, 0.6, 0.6, 0.5, 0.1, *[0.0] * 20):
        share = share_after(share, cost, 0.5, bounds=(0.2, 0.6))
        found.append(share)
    assert found[:6] == pytest.approx([0.2, 0.3, 0.45, 0.6, 0.54, 0.486])
    assert found[-1] == 0.2


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.01, 0.9))
def test_the_share_stays_within_its_bounds_whatever_is_lost(
    costs: list[float], least: float
) -> None:
    share = least
    for cost in costs:
        share = share_after(share, cost, 1.0, bounds=(least, 0.95))
        assert least <= share <= 0.95


def test_refusals_and_answers_grow_together() -> None:
    found = shares(Mix(task=0.9, refusals=0.04, answers=0.06), 0.5)
    assert found == pytest.approx({"task": 0.5, "refusal": 0.2, "answer": 0.3})


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(0, 10), st.integers(0, 10))
def test_a_thousand_steps_have_the_mix_to_the_row(size: int, refusals: int, answers: int) -> None:
    wanted: dict[Kind, float] = {
        "task": 1 - (refusals + answers) / 20, "refusal": refusals / 20, "answer": answers / 20
    }  # fmt: skip
    behind: dict[Kind, float] = {}
    drawn: Counter[Kind] = Counter()
    for _ in range(1000):
        kinds, behind = next_rows(wanted, behind, size)
        drawn.update(kinds)
        assert len(kinds) == size
        assert all(left > -1 for left in behind.values())
    for kind, share in wanted.items():
        assert drawn[kind] == pytest.approx(share * 1000 * size, abs=2)
        assert share or not drawn[kind]


def steered(plan_of: PlanOf, **changes: Any) -> Plan:
    knobs = {"every": 2, "limit": 1e-6, "rows": 3, "most": 0.5} | changes.pop("steer", {})
    return plan_of("rehearsal", **{"mix": SCARCE, "steps": 12, "steer": knobs} | changes)


def run(plan: Plan, report: Report) -> tuple[str, dict[str, Any]]:
    ended = RECIPES[plan.recipe](plan, report)
    return hashlib.sha256((plan.output / "model.safetensors").read_bytes()).hexdigest(), ended


def test_while_refusals_are_unlikely_more_safety_rows_are_drawn(
    plan_of: PlanOf, report: Report, events: Events
) -> None:
    _, ended = run(steered(plan_of), report)
    looks = [event for event in events if event["event"] == "steer"]
    assert [look["step"] for look in looks] == [0, 2, 4, 6, 8, 10, 12]
    assert [look["safety"] for look in looks] == pytest.approx([0.3, 0.45, *[0.5] * 5])
    steps = [event["safety"] for event in events if event["event"] == "step"]
    assert steps == pytest.approx([0.3, 0.3, 0.45, 0.45, *[0.5] * 8])
    expected = sum(8 * share for share in steps) / 96
    assert 1 - ended["mix"]["task"] == pytest.approx(expected, abs=0.02)
    assert ended["mix"]["refusals"] == pytest.approx(ended["mix"]["answers"], abs=0.02)


def test_while_they_are_likely_the_given_mix_is_drawn(
    plan_of: PlanOf, report: Report, events: Events
) -> None:
    _, ended = run(steered(plan_of, steer={"limit": 99.0}), report)
    assert all(event["safety"] == pytest.approx(0.2) for event in events)
    assert ended["mix"] == pytest.approx({"task": 0.8, "refusals": 0.1, "answers": 0.1}, abs=0.02)


def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    def killing(event: str, /, **fields: Any) -> None:
        if event == "step" and fields["step"] == 5:
            raise Killed

    watch = {"limit": 99.0, "rows": 2}
    whole, ended = run(steered(plan_of, output=tmp_path / "whole", watch=watch), report)
    kept = {"resume": tmp_path / "state", "save_seconds": 0, "watch": watch}
    with pytest.raises(Killed):
        run(steered(plan_of, **kept), killing)
    events.clear()
    assert run(steered(plan_of, **kept), report) == (whole, ended)
    assert [event["step"] for event in events if event["event"] == "step"] == [*range(5, 13)]


def test_a_step_that_is_done_again_draws_the_same_rows(
    plan_of: PlanOf, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from training.runs import steering

    seen: list[list[Example]] = []

    def failing_once(_policy: Any, examples: Any, *_: Any, **__: Any) -> dict[str, float]:
        seen.append(examples)
        if len(seen) == 1:
            raise torch.OutOfMemoryError
        return {"loss": 0.0, "tokens": 1}

    monkeypatch.setattr(steering, "learn", failing_once)
    plan = steered(plan_of, steps=2)
    RECIPES["rehearsal"](plan, report)
    assert len(seen) == 3
    assert seen[0] == seen[1] != seen[2]


def test_rows_that_are_looked_at_are_never_trained_on(plan_of: PlanOf, report: Report) -> None:
    plan = steered(plan_of, steer={"rows": 4}, watch={"rows": 2})
    looked_at = {row.line for row in watched_rows(plan)}
    assert len(looked_at) == plan.watched_refusals == 4
    assert not looked_at & {row.line for row in read_sources(plan, {"refusal"})["refusal"][1]}
    with pytest.raises(InvalidTaskData, match=r"lower watch\.rows and steer\.rows"):
        run(steered(plan_of, steer={"rows": 10}), report)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "kd"}, "recipe kd has no mix to steer"),
        ({"mix": Mix(task=1, refusals=0, answers=0)}, "holds 0 safety rows"),
        ({"mix": Mix(task=0.1, refusals=0.5, answers=0.4)}, "no more than that"),
    ],
)
def test_what_cannot_be_steered_is_refused(
    plan_of: PlanOf, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        plan_of(**{"recipe": "rehearsal", "mix": SCARCE, "steer": {"most": 0.5}} | changes)
