"""Refusals that go are seen, and the last safe weights are put back."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from holdfast.errors import InvalidTaskData
from holdfast.repairs.plan import Plan
from training.progress import Report
from training.recipes import RECIPES
from training.rows.batches import Example
from training.runs.sources import read_sources, watched_rows
from training.runs.watch import Watch, first_tokens, mean_nats
from training.weights.model import load_policy

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


def looks(events: Events) -> list[int]:
    return [event["step"] for event in events if event["event"] == "watch"]


def run(plan: Plan, report: Report) -> str:
    RECIPES[plan.recipe](plan, report)
    return hashlib.sha256((plan.output / "model.safetensors").read_bytes()).hexdigest()


def test_it_looks_at_the_first_steps_then_now_and_then_and_at_the_end(
    plan_of: PlanOf, report: Report, events: Events
) -> None:
    watch = {"every": 5, "limit": 99.0, "rows": 3}
    run(plan_of("finetune", watch=watch, steps=11), report)
    assert looks(events) == [0, 1, 2, 4, 5, 8, 10]
    assert all(event["safe"] for event in events if event["event"] == "watch")
    events.clear()


def test_an_alarm_puts_the_last_safe_step_back(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    def watched(limit: float, name: str, steps: int) -> str:
        watch = {"every": 4, "limit": limit, "rows": 3}
        fast = {"learning_rate": 0.03, "force": True, "warmup_steps": 0}
        plan = plan_of("finetune", watch=watch, steps=steps, output=tmp_path / name, **fast)
        return run(plan, report)

    watched(99.0, "free", 12)
    nats = {event["step"]: event["refusal_nats"] for event in events if event["event"] == "watch"}
    events.clear()
    gone = next(step for step in sorted(nats) if nats[step] > nats[0])
    stopped = watched(nats[0], "stopped", 12)
    assert looks(events)[-1] == gone
    assert f"refusals are gone at step {gone}; back to step " in events[-1]["text"]
    back = int(events[-1]["text"].rsplit(" ", 1)[1])
    assert back < gone
    start = hashlib.sha256(
        (plan_of("finetune").baseline / "model.safetensors").read_bytes()
    ).hexdigest()
    assert (stopped == start) == (back == 0)


def test_what_is_put_back_is_as_it_was_whatever_was_trained_since(
    baseline: Path, candidate: Path, report: Report, events: Events
) -> None:
    refusals = [Example(tuple(range(20 + k, 40 + k)), prompt_tokens=8) for k in range(4)]
    sides = sorted(
        (load_policy(folder) for folder in (baseline, candidate)),
        key=lambda policy: mean_nats(policy, [first_tokens(row) for row in refusals], 2),
    )
    policy, worse = sides
    safe = {name: weight.clone() for name, weight in policy.state_dict().items()}
    limit = mean_nats(policy, [first_tokens(row) for row in refusals], 2) + 1e-6
    watch, memory = Watch(refusals, 2, every=5, limit=limit), dict[str, Any]()
    assert not watch.should_end(policy, 4, memory, report)
    policy.load_state_dict(worse.state_dict())
    assert not watch.should_end(policy, 6, memory, report)  # not the time to look
    assert watch.should_end(policy, 8, memory, report)
    assert events[-1]["text"] == "refusals are gone at step 8; back to step 4"
    assert all(torch.equal(weight, safe[name]) for name, weight in policy.state_dict().items())


def test_what_was_never_safe_goes_on(plan_of: PlanOf, report: Report, events: Events) -> None:
    run(plan_of("finetune", watch={"limit": 1e-6, "rows": 3}, steps=3), report)
    assert looks(events) == [0, 1, 2]
    assert events[-1]["step"] == 3


def test_watched_rows_are_never_trained_on(plan_of: PlanOf) -> None:
    plan = plan_of("rehearsal", watch={"rows": 3})
    watched = {row.line for row in watched_rows(plan)}
    trained = {row.line for row in read_sources(plan, {"refusal"})["refusal"][1]}
    assert len(watched) == 3
    assert not watched & trained
    assert len(trained) == 7


def test_a_watch_that_leaves_nothing_to_rehearse_is_refused(
    plan_of: PlanOf, report: Report
) -> None:
    with pytest.raises(InvalidTaskData, match="leaves none to train on"):
        run(plan_of("rehearsal", watch={"rows": 10}), report)
