"""Which objective a step trains: shares, the known fixed points of toys, and what staleness costs.

The toys are f1 = (x - 1)²/2 as the task and f2 = (x + 1)²/2 as the preferences; optima are 0.
"""

from collections.abc import Callable
from math import sqrt
from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.objectives.alternation import (
    EMPTY_STATE,
    OBJECTIVES,
    Objective,
    Rule,
    RuleState,
    band,
    choose_objective,
    draw_objective,
    has_reached_optimum,
    objectives_to_measure,
    record_loss,
    record_step,
    weighted_gaps,
)

CENTRE: dict[Objective, float] = {"task": 1.0, "preference": -1.0}
ZERO: dict[Objective, float] = {"task": 0.0, "preference": 0.0}


def loss(objective: Objective, x: float) -> float:
    return (x - CENTRE[objective]) ** 2 / 2


def descend(choose: Callable[[int, float], Objective], rate: Callable[[int], float]) -> list[float]:
    """Gradient descent on the toys from 0; x after every step."""
    x, path = 0.0, []
    for step in range(20_000):
        objective = choose(step, x)
        x -= rate(step) * (x - CENTRE[objective])
        path.append(x)
    return path


def maxright(rule: Rule) -> Callable[[int, float], Objective]:
    """The rule with its memory, as a recipe runs it."""
    known = EMPTY_STATE

    def choose(step: int, x: float) -> Objective:
        nonlocal known
        for one in objectives_to_measure(rule, known, step):
            known = record_loss(rule, known, one, loss(one, x))
        objective = choose_objective(rule, known)
        known = record_step(rule, known, objective, loss(objective, x))
        return objective

    return choose


def diminishing(step: int) -> float:
    return 0.3 / sqrt(step + 1)


def test_sequential_ends_at_the_second_stage_whatever_the_first_was() -> None:
    path = descend(lambda step, _: "task" if step < 15_000 else "preference", lambda _: 0.01)
    assert path[14_999] == pytest.approx(1, abs=1e-6)
    assert path[-1] == pytest.approx(-1, abs=1e-6)


def test_alright_converges_to_the_optimum_of_the_mixture() -> None:
    path = descend(lambda step, _: draw_objective(1, step, 0.75), lambda step: 1 / (step + 2))
    assert path[-1] == pytest.approx(-0.5, abs=0.02)  # λ = .75 of f2: 1 - 2 λ


@pytest.mark.parametrize("fixed", [False, True])
def test_maxright_levels_the_weighted_gaps_and_does_not_minimise_their_sum(fixed: bool) -> None:
    path = descend(maxright(Rule(0.75, ZERO, every=1, fixed=fixed)), diminishing)
    expected = (1 - sqrt(3)) / (1 + sqrt(3))
    assert path[-1] == pytest.approx(expected, abs=1e-2)
    assert abs(path[-1] - -0.5) > 0.2


def test_older_losses_oscillate_more() -> None:
    spread = {}
    for every in (1, 10, 100, 1000):
        path = descend(maxright(Rule(0.75, ZERO, every=every)), lambda _: 0.05)
        spread[every] = pstdev(path[len(path) // 2 :])
    assert spread[1] == pytest.approx(0.029, abs=0.01)
    assert spread[1] < spread[10] < spread[100] < spread[1000]
    assert spread[100] == pytest.approx(0.194, abs=0.06)
    assert spread[1000] == pytest.approx(0.438, abs=0.08)


@pytest.mark.parametrize("optimum", [0.0, 0.6, 3.0])
def test_losses_below_their_optima_are_still_compared(optimum: float) -> None:
    """With gaps cut off at 0 both would be level there, and only preferences trained: x = -1."""
    rule = Rule(0.5, {"task": optimum, "preference": optimum}, every=10)
    path = descend(maxright(rule), lambda _: 0.01)
    assert max(map(abs, path[-1000:])) < 0.12


def test_the_least_losses_so_far_may_stand_for_the_optima() -> None:
    path = descend(maxright(Rule(0.5, None, every=1)), lambda _: 0.01)
    late = path[len(path) // 2 :]
    assert max(map(abs, late)) < 1
    assert min(late) < 0.1
    assert max(late) > -0.1


def test_ties_go_to_the_preferences_as_in_the_paper_or_to_the_task_as_in_the_code() -> None:
    level = RuleState({"task": 0.5, "preference": 0.5}, {"task": 1, "preference": 1})
    assert choose_objective(Rule(0.5, ZERO), level) == "preference"
    assert choose_objective(Rule(0.5, ZERO, ties="task"), level) == "task"


@pytest.mark.parametrize(
    ("task", "optima", "reached"),
    [(0.51, {"task": 0.5}, False), (0.50005, {"task": 0.5}, True), (0.3, {"task": 0.5}, True)],
)
def test_an_optimum_is_reached_by_either_loss(
    task: float, optima: dict[Objective, float], reached: bool
) -> None:
    state = RuleState({"task": task, "preference": 9.0}, {"task": 0, "preference": 0})
    assert has_reached_optimum(Rule(0.5, ZERO | optima), state) == reached
    assert not has_reached_optimum(Rule(0.5, None), state)
    assert not has_reached_optimum(Rule(0.5, ZERO | optima), EMPTY_STATE)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_the_realised_share_is_within_three_sigma(share: float) -> None:
    n = 100_000
    realised = sum(draw_objective(7, step, share) == "preference" for step in range(n)) / n
    assert abs(realised - share) < 3 * sqrt(share * (1 - share) / n)


def test_a_draw_hangs_on_seed_and_step_alone() -> None:
    whole = [draw_objective(3, step, 0.5) for step in range(200)]
    assert [draw_objective(3, step, 0.5) for step in range(100, 200)] == whole[100:]
    assert [draw_objective(4, step, 0.5) for step in range(200)] != whole


def test_the_band_holds_99_of_100_runs() -> None:
    low, high = band(0.5, 60)
    outside = 0
    for seed in range(1000):
        realised = sum(draw_objective(seed, step, 0.5) == "preference" for step in range(60)) / 60
        outside += not low <= realised <= high
    assert outside <= 20
    assert low == pytest.approx(1 - high)
    assert 0.3 < low < 0.4


@given(st.floats(0, 10), st.floats(0, 10), st.sampled_from([0.0, 1.0]), st.sampled_from(OBJECTIVES))
def test_a_share_of_0_or_1_leaves_no_choice(
    task: float, preference: float, share: float, last: Objective
) -> None:
    known = RuleState({"task": task, "preference": preference}, {"task": 1, "preference": 1}, last)
    assert choose_objective(Rule(share, ZERO), known) == ("preference" if share else "task")


CHOICES: dict[str, tuple[float, float, Objective | None, float, Objective]] = {
    "the larger gap, task": (0.9, 0.4, None, 0.0, "task"),
    "the larger gap, preference": (0.4, 0.9, None, 0.0, "preference"),
    "a tie goes to the preferences": (0.5, 0.5, None, 0.0, "preference"),
    "a tie after a task step as well": (0.5, 0.5, "task", 0.0, "preference"),
    "not worth leaving the task": (0.5, 0.6, "task", 0.1, "task"),
    "worth leaving the task": (0.5, 0.8, "task", 0.1, "preference"),
    "not worth leaving the preferences": (0.6, 0.5, "preference", 0.1, "preference"),
    "worth leaving the preferences": (0.8, 0.5, "preference", 0.1, "task"),
}


@pytest.mark.parametrize(("task", "preference", "last", "hysteresis", "wanted"), CHOICES.values(),
                         ids=CHOICES)  # fmt: skip
def test_the_choice(
    task: float, preference: float, last: Objective | None, hysteresis: float, wanted: Objective
) -> None:
    known = RuleState({"task": task, "preference": preference}, {"task": 1, "preference": 1}, last)
    assert choose_objective(Rule(0.5, ZERO, hysteresis=hysteresis), known) == wanted


def test_weighted_gaps_of_the_published_example() -> None:
    rule = Rule(0.5, {"task": 1.4980, "preference": 0.0522})
    gaps = weighted_gaps(rule, RuleState({"task": 1.70, "preference": 0.90}, {}))
    assert gaps["preference"] == pytest.approx(0.4239, abs=1e-4)
    assert gaps["task"] == pytest.approx(0.1010, abs=1e-4)


def test_a_loss_below_its_optimum_is_a_negative_gap() -> None:
    known = RuleState({"task": 1.0, "preference": 0.2}, {})
    assert weighted_gaps(Rule(0.5, {"task": 1.5, "preference": 0.1}), known)["task"] == -0.25


Losses = dict[Objective, float]


def played(
    rule: Rule, table: list[Losses], own: Callable[[Losses, Objective], float]
) -> tuple[RuleState, list[tuple[Objective, ...]], list[Objective]]:
    """What is known after the table, what was looked at by the way, and which side each step took.

    own: what a step says of the batch that it trained on.
    """
    known, looked, took = EMPTY_STATE, [], []
    for step, losses in enumerate(table):
        asked = objectives_to_measure(rule, known, step)
        for one in asked:
            known = record_loss(rule, known, one, losses[one])
        objective = choose_objective(rule, known)
        known = record_step(rule, known, objective, own(losses, objective))
        looked.append(asked)
        took.append(objective)
    return known, looked, took


def test_the_state_machine_over_a_scripted_table() -> None:
    """k = 3: a neglected loss stays what it was until step three, when both are measured."""
    rule = Rule(0.5, ZERO, every=3)
    table: list[Losses] = [
        {"task": 1.0, "preference": 2.0},
        {"task": 5.0, "preference": 1.5},  # the task got worse, and nobody has looked
        {"task": 5.0, "preference": 1.2},
        {"task": 5.0, "preference": 0.9},  # looked at
        {"task": 0.5, "preference": 9.0},
    ]
    known, looked, took = played(rule, table, lambda losses, objective: losses[objective])
    assert looked == [OBJECTIVES, (), (), OBJECTIVES, ()]
    assert took == ["preference", "preference", "preference", "task", "task"]
    assert known.losses == {"task": 0.5, "preference": 0.9}
    assert known.ages == {"task": 1, "preference": 2}


def test_a_fixed_slice_is_measured_whole_and_by_nothing_else() -> None:
    """k = 2: both at steps 0 and 2; what the steps say of their own batches changes nothing."""
    rule = Rule(0.5, ZERO, every=2, ema=0.9, fixed=True)
    table: list[Losses] = [
        {"task": 1.0, "preference": 2.0},
        {"task": 5.0, "preference": 0.1},
        {"task": 0.7, "preference": 0.6},
        {"task": 0.1, "preference": 0.2},
    ]
    known, looked, took = played(rule, table, lambda *_: 77.0)
    assert looked == [OBJECTIVES, (), OBJECTIVES, ()]
    assert took == ["preference", "preference", "task", "task"]
    assert known.losses == {"task": 0.7, "preference": 0.6}
    assert known.ages == {"task": 2, "preference": 2}


def test_the_older_a_value_the_less_it_counts() -> None:
    rule = Rule(0.5, ZERO, ema=0.9)
    for age, kept in ((1, 0.9), (10, 0.9**10)):
        known = record_loss(rule, RuleState({"task": 2.0}, {"task": age}), "task", 1.0)
        assert known.losses["task"] == pytest.approx(1 + kept)
        assert known.ages["task"] == 0


def test_what_is_remembered_is_plain_and_comes_back() -> None:
    known = RuleState({"task": 2.0, "preference": 1.0}, {"task": 1, "preference": 4}, "task")
    assert RuleState(**known.to_plain()) == known
