"""The recipes with two objectives, run whole on the tiny model."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from holdfast.errors import CallerError, InvalidPlan, InvalidTaskData
from holdfast.remediation import Mix, Plan, without_refusals
from tests.training.conftest import write_rows
from training.joint import Sides, two_sides
from training.objectives.alternation import drawn
from training.progress import Report
from training.recipes import RECIPES
from training.recipes.mix import mixing
from training.recipes.sequential import stage

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
JOINT = ["sequential", "mix", "alright", "maxright"]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [
        {
            "prompt": f"Break lock {k}.",
            "chosen": "I can't help with that.",
            "rejected": f"Yes, {k} times.",
            "margin": 1.0,
        }
        for k in range(12)
    ]
    return write_rows(tmp_path / "pairs.jsonl", rows)


@pytest.fixture
def joint(plan_of: PlanOf, pairs: Path) -> PlanOf:
    """A plan of a joint recipe; `preference` holds its knobs."""

    def build(recipe: str, **changes: Any) -> Plan:
        return plan_of(recipe, **{"preference_data": pairs, "max_length": 60} | changes)

    return build


def digest(plan: Plan) -> str:
    weights = b"".join(file.read_bytes() for file in sorted(plan.output.glob("*.safetensors")))
    return hashlib.sha256(weights).hexdigest()


def steps(events: Events) -> Events:
    return [event for event in events if event["event"] == "step"]


@pytest.mark.parametrize("recipe", JOINT)
def test_both_losses_go_down(joint: PlanOf, report: Report, events: Events, recipe: str) -> None:
    plan = joint(recipe, steps=30, preference={"optimum_steps": 3})
    before = losses(two_sides(plan, report))
    ended = RECIPES[recipe](plan, report)
    found = steps(events)
    assert len(found) == 30
    assert ended["final_loss"] is not None
    assert before == pytest.approx({"task": before["task"], "preference": 0.693147}, abs=1e-4)
    if recipe != "mix":
        for side in (0.0, 1.0):
            mine = [event["loss"] for event in found if event["preference"] == side]
            assert mine[-1] < mine[0]


def losses(sides: Sides) -> dict[str, float]:
    return {"task": sides.measure("task", 0), "preference": sides.measure("preference", 0)}


@pytest.mark.parametrize("recipe", JOINT)
def test_same_seed_same_bytes(tmp_path: Path, joint: PlanOf, report: Report, recipe: str) -> None:
    digests = []
    for k, seed in enumerate((3, 3, 4)):
        plan = joint(recipe, seed=seed, output=tmp_path / str(k), preference={"optimum_steps": 2})
        RECIPES[recipe](plan, report)
        digests.append(digest(plan))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("recipe", JOINT)
def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, joint: PlanOf, report: Report, events: Events, recipe: str
) -> None:
    knobs = {"steps": 8, "preference": {"every": 3, "optimum_steps": 2}}
    whole = joint(recipe, output=tmp_path / "whole", **knobs)
    RECIPES[recipe](whole, report)
    expected, trained = digest(whole), steps(events)
    events.clear()

    def killed(event: str, /, **fields: Any) -> None:
        if event == "step" and fields["step"] == 6:
            raise KeyboardInterrupt
        report(event, **fields)

    cut = joint(recipe, output=tmp_path / "cut", resume=tmp_path / "state", save_seconds=0, **knobs)
    with pytest.raises(KeyboardInterrupt):
        RECIPES[recipe](cut, killed)
    events.clear()
    RECIPES[recipe](cut, report)
    assert digest(cut) == expected
    assert [event["step"] for event in steps(events)] == [6, 7, 8]
    assert not any("alone reaches" in event.get("text", "") for event in events)
    for event, before in zip(steps(events), trained[5:], strict=True):
        assert event["loss"] == pytest.approx(before["loss"])


def test_the_gradient_of_a_mix_is_the_weighted_sum(joint: PlanOf, report: Report) -> None:
    sides = two_sides(joint("mix"), report)
    sides.policy.double()  # rounding of the model is not the sum's

    def gradient() -> Tensor:
        grads = [weight.grad.flatten() for weight in sides.policy.parameters()]
        sides.policy.zero_grad()
        return torch.cat(grads)

    sides.learn("task", 0, 4)
    task = gradient()
    sides.learn("preference", 0, 4)
    preference = gradient()
    figures = mixing(sides, 0.3)(0, 4)
    mixed = gradient()
    assert (mixed - 0.3 * preference - 0.7 * task).norm() < 1e-6 * mixed.norm()
    found = losses(sides)
    assert figures["loss"] == pytest.approx(0.3 * found["preference"] + 0.7 * found["task"])


def test_the_tasks_side_has_the_reduction_of_the_plan(joint: PlanOf, report: Report) -> None:
    found = [
        two_sides(joint("mix", reduction=reduction), report).learn("task", 0, 4)
        for reduction in ("token_mean_global", "seq_sum_mean")
    ]
    a_token, a_row = (figures["loss"] for figures in found)
    assert a_row * 8 == pytest.approx(a_token * found[0]["tokens"], rel=1e-4)


def test_without_weight_a_mix_is_the_single_objective(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    for share, alone in ((0.0, "task"), (1.0, "preference")):
        digests = []
        for recipe in ("mix", "sequential", "alright", "maxright"):
            plan = joint(
                recipe,
                output=tmp_path / f"{recipe}-{alone}",
                preference={"share": share, "optimum_steps": 1},
            )
            RECIPES[recipe](plan, report)
            digests.append(digest(plan))
        assert len(set(digests)) == 1


def test_task_rows_alone_are_plain_fine_tuning(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    only = {"mix": Mix(task=1, refusals=0, answers=0)}
    plain = joint("finetune", output=tmp_path / "a", **only)
    mixed = joint("mix", output=tmp_path / "b", preference={"share": 0}, **only)
    for plan in (plain, mixed):
        RECIPES[plan.recipe](plan, report)
    assert digest(plain) == digest(mixed)


def test_alright_takes_what_is_drawn_and_says_how_often(
    joint: PlanOf, report: Report, events: Events
) -> None:
    ended = RECIPES["alright"](joint("alright", steps=12, seed=5), report)
    drawn_ones = [float(drawn(5, step, 0.5) == "preference") for step in range(12)]
    assert [event["preference"] for event in steps(events)] == drawn_ones
    assert ended["preference_share"] == pytest.approx(sum(drawn_ones) / 12)
    assert ended["band_low"] < ended["preference_share"] < ended["band_high"]  # type: ignore[operator]


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


def test_stages() -> None:
    plan = Plan(recipe="sequential", baseline=Path("/b"), output=Path("/o"), steps=10)
    turned = plan.model_copy(
        update={
            "preference": plan.preference.model_copy(update={"first": "preference", "share": 0.3})
        }
    )
    assert [stage(plan, step) for step in range(10)] == ["task"] * 5 + ["preference"] * 5
    assert [stage(turned, step) for step in range(10)] == ["preference"] * 3 + ["task"] * 7


def test_pairs_bring_the_refusals_so_the_mix_leaves_them_out() -> None:
    mix = without_refusals(Mix(task=0.3, refusals=0.3, answers=0.4))
    assert (mix.task, mix.refusals, mix.answers) == pytest.approx((3 / 7, 0, 4 / 7))
    with pytest.raises(InvalidPlan, match="refusals alone"):
        without_refusals(Mix(task=0, refusals=1, answers=0))


def test_the_baseline_is_the_reference_wherever_the_run_starts(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    cached = {"reference_cache": tmp_path / "cache"}
    first = two_sides(joint("mix", **cached), report)
    second = two_sides(joint("mix", start="candidate", **cached), report)
    assert torch.equal(first.reference, second.reference)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert second.measure("preference", 0) != pytest.approx(0.693147, abs=1e-4)


REFUSED: dict[str, tuple[dict[str, Any], type[CallerError], str]] = {
    "no pairs": ({"preference_data": None}, InvalidPlan, "needs preference_data"),
    "pairs that are not there": (
        {"preference_data": "/nowhere.jsonl"}, InvalidTaskData, "cannot be read",
    ),
    "no look-alikes": ({"rehearsal_data": None}, InvalidPlan, "draws rows from rehearsal_data"),
    "no task": ({"task_data": None}, InvalidPlan, "draws rows from task_data"),
}  # fmt: skip


@pytest.mark.parametrize("recipe", JOINT)
@pytest.mark.parametrize(("changes", "fault", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_missing_is_said_in_a_sentence(
    joint: PlanOf,
    report: Report,
    recipe: str,
    changes: dict[str, Any],
    fault: type[CallerError],
    message: str,
) -> None:
    plan = joint(recipe, **changes)
    with pytest.raises(fault, match=message):
        RECIPES[recipe](plan, report)
    assert not plan.output.exists()


def test_margins_are_asked_for_only_where_every_pair_has_one(
    tmp_path: Path, joint: PlanOf, report: Report
) -> None:
    RECIPES["mix"](joint("mix", output=tmp_path / "a", preference={"gamma": 1.0}), report)
    without = write_rows(
        tmp_path / "bare.jsonl", [{"prompt": "a?", "chosen": "No.", "rejected": "Yes."}]
    )
    with pytest.raises(InvalidPlan, match="pairs without one"):
        RECIPES["mix"](joint("mix", preference_data=without, preference={"gamma": 1.0}), report)
