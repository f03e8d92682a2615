"""The recipes with two objectives, run whole on the tiny model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from holdfast.errors import CallerError, InvalidPlan, InvalidTaskData
from holdfast.repairs.plan import Mix, Plan, without_refusals
from tests.training.conftest import digest, losses, steps, write_rows
from training.objectives.alternation import draw_objective
from training.progress import Report
from training.recipes import RECIPES
from training.recipes.joint import two_sides
from training.recipes.mix import weighted_sum_gradient
from training.recipes.sequential import stage

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
JOINT = ["sequential", "mix", "alright", "maxright"]


@pytest.mark.parametrize("recipe", JOINT)
def test_both_losses_go_down(joint: PlanOf, report: Report, events: Events, recipe: str) -> None:
    plan = joint(recipe, steps=30, preference={"optimum_steps": 3})
    before = losses(two_sides(plan, report))
    ended = RECIPES[recipe](plan, report)
    found = steps(events)
    assert len(found) == 30
    assert ended["final_loss"] is not None
    assert 0 < ended["task_loss"] < before["task"]
    assert 0 < ended["preference_loss"] < before["preference"]
    won = before["task"] - ended["task_loss"], before["preference"] - ended["preference_loss"]
    assert ended["hypervolume"] == pytest.approx(won[0] * won[1], rel=1e-3)
    assert (ended["ideal_distance"] is None) == (recipe != "maxright"), "its optima are measured"
    assert ended["time_beside_plain"] > 0.5
    assert ended["memory_beside_plain"] >= 1.0
    assert before == pytest.approx({"task": before["task"], "preference": 0.693147}, abs=1e-4)
    if recipe != "mix":
        for side in (0.0, 1.0):
            mine = [event["loss"] for event in found if event["preference"] == side]
            assert mine[-1] < mine[0]


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
    figures = weighted_sum_gradient(sides, 0.3)(0, 4)
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
    drawn_ones = [float(draw_objective(5, step, 0.5) == "preference") for step in range(12)]
    assert [event["preference"] for event in steps(events)] == drawn_ones
    assert ended["preference_share"] == pytest.approx(sum(drawn_ones) / 12)
    assert ended["band_low"] < ended["preference_share"] < ended["band_high"]  # type: ignore[operator]


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


@pytest.mark.parametrize(("margins", "is_smoothing"), [((2.0, 2.0), True), ((2.0, 1.0), False)])
def test_margins_that_are_all_equal_are_label_smoothing_and_said_to_be(
    tmp_path: Path, joint: PlanOf, report: Report, events: list[dict[str, Any]],
    margins: tuple[float, ...], is_smoothing: bool,
) -> None:  # fmt: skip
    rows = [
        {"prompt": f"{place}?", "chosen": "No.", "rejected": "Yes.", "margin": margin}
        for place, margin in enumerate(margins)
    ]
    pairs = write_rows(tmp_path / "pairs.jsonl", rows)
    plan = joint("mix", steps=2, preference_data=pairs, preference={"gamma": 0.5})
    RECIPES["mix"](plan, report)
    notes = [event["text"] for event in events if event["event"] == "note"]
    said = [note for note in notes if "label smoothing" in note]
    expected = "all margins are 2, so this is label smoothing: every pair is right with probability"
    assert said == ([f"{expected} 0.731"] if is_smoothing else [])


def test_the_authors_gamma_is_rescaled_to_the_span_of_the_margins(joint: PlanOf) -> None:
    """.3 on differences of scores from 1 to 10: the best against the worst is 2.7 either way."""
    for span in (1.0, 9.0):
        knobs = {"mmpo": "ultrafeedback-7b", "margin_span": span}
        beta, gamma = joint("mix", preference=knobs).preference.loss
        assert beta == 0.01
        assert gamma == pytest.approx(2.7 / span)
    assert joint("mix").preference.loss == (0.1, None)
    with pytest.raises(ValidationError, match="brings its own beta and gamma"):
        joint("mix", preference={"mmpo": "ultrafeedback-2b", "beta": 0.1})


def test_known_optima_give_the_ideal_distance_of_any_joint_recipe(
    joint: PlanOf, report: Report
) -> None:
    knobs = {"task_optimum": 0.5, "preference_optimum": 0.1}
    ended = RECIPES["mix"](joint("mix", steps=2, preference=knobs), report)
    gaps = ended["task_loss"] - 0.5, ended["preference_loss"] - 0.1
    assert (ended["task_optimality_gap"], ended["preference_optimality_gap"]) == gaps
    assert ended["ideal_distance"] == pytest.approx((gaps[0] ** 2 + gaps[1] ** 2) ** 0.5)
