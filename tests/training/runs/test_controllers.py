"""Controllers: OmniSafe's numbers, scripted sequences, and a toy whose multiplier is known."""

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from math import inf
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.repairs.knobs import Controller
from training.runs.controllers import (
    CONTROLLERS,
    Gains,
    State,
    bound_share_after,
    doubling,
    pid,
    start_state,
    weight_after,
    ziegler,
)


def weights(step: Callable[..., State], begin: State, costs: list[float]) -> list[float]:
    return [state.weight for state in accumulate(costs, step, initial=begin)][1:]


def test_the_table_holds_every_controller_a_plan_may_name() -> None:
    assert tuple(CONTROLLERS) == ("doubling", "pid", "ziegler") == get_args(Controller)


def test_pid_as_omnisafe_computes_it() -> None:
    step = partial(pid, limit=0.05)
    given_costs = [0.2, 0.15, 0.1, 0.06, 0.04, 0.02]
    assert weights(step, State(0.0), given_costs) == pytest.approx(
        [0.00235, 0.0038825, 0.0046134, 0.0047127, 0.0045021, 0.003987], abs=5e-8
    )


def test_ziegler_by_hand() -> None:
    assert weights(partial(ziegler, limit=6), State(0.2), [12, 12, 6, 3]) == pytest.approx(
        [0.204, 0.20808, 0.20808, 0.203918], abs=1e-6
    )
    gain = 64 / 10_000
    assert weights(partial(ziegler, limit=6, gain=gain), State(0.2), [12, 12, 6, 3]) == (
        pytest.approx([0.200256, 0.20051233, 0.20051233, 0.20025567], abs=1e-8)
    )


def test_doubling_moves_outside_its_band_alone() -> None:
    costs = [1.6, 1.6, 1.0, 0.67, 1.49, 0.66, 0.1]
    assert weights(doubling, State(1.0), costs) == [2, 4, 4, 4, 4, 2, 1]


@given(costs=st.lists(st.floats(0, 1e6), max_size=60), name=st.sampled_from(get_args(Controller)))
def test_a_weight_is_never_negative_or_infinite(costs: list[float], name: Controller) -> None:
    step = partial(weight_after, name, bound=0.05)
    assert all(0 <= weight < inf for weight in weights(step, start_state(1.0, 0.05), costs))


@pytest.mark.parametrize("name", get_args(Controller))
def test_no_bound_no_weight_and_a_bound_of_nothing_pulls_ever_harder(name: Controller) -> None:
    free = weights(partial(weight_after, name, bound=inf), start_state(1.0, inf), [0.1, 5.0])
    tight = weights(partial(weight_after, name, bound=0.0), start_state(1.0, 0.0), [0.1] * 9)
    assert free == [0, 0]
    assert tight[-1] > tight[0] > 1


def toy(gains: Gains, begin: float = 0.0, rate: float = 0.05, steps: int = 6000) -> list[State]:
    """Minimise (x - 2)² subject to x <= 1 by gradient steps; x stands where `excess` did."""
    x, state, path = begin, State(0.0), []
    for _ in range(steps):
        x -= rate * (2 * (x - 2) + state.weight)
        state = pid(state, x, 1.0, gains=gains)
        path.append(State(state.weight, excess=x))
    return path


DUAL_ASCENT = Gains(proportional=0.0, integral=0.05, derivative=0.0, smoothing=0.0, delay=1)
FULL = Gains(proportional=0.5, integral=0.05, derivative=0.5, smoothing=0.0, delay=1)


@pytest.mark.parametrize("gains", [DUAL_ASCENT, FULL], ids=["dual ascent", "pid"])
def test_the_multiplier_converges_to_two_at_one(gains: Gains) -> None:
    last = toy(gains)[-1]
    assert last.excess == pytest.approx(1, abs=1e-6)
    assert last.weight == pytest.approx(2, abs=1e-6)


def test_proportion_and_derivative_overshoot_less() -> None:
    alone, together = (max(s.excess for s in toy(gains)) - 1 for gains in (DUAL_ASCENT, FULL))
    assert (alone, together) == pytest.approx((0.742, 0.633), abs=1e-3)


def test_from_outside_the_bound_it_only_comes_back() -> None:
    path = [state.excess for state in toy(FULL, begin=4.0, steps=40)]
    outside = [x for x in path if x > 1]
    assert outside == sorted(outside, reverse=True)


def test_steps_change_no_state() -> None:
    state = start_state(1.0, 0.05)
    weight_after("pid", state, 3.0, 0.05)
    assert state == start_state(1.0, 0.05)


def test_a_share_of_the_bound_shrinks_while_refusals_go_and_comes_back() -> None:
    share, seen = 1.0, []
    for cost in [0.9] * 3 + [0.1] * 6:
        share = bound_share_after(share, cost, 0.5, least=0.4)
        seen.append(share)
    assert seen[:3] == pytest.approx([1 / 1.5, 1 / 2.25, 0.4])
    assert seen[3:6] == pytest.approx([0.4 / 0.9, 0.4 / 0.81, 0.4 / 0.729])
    for _ in range(20):
        share = bound_share_after(share, 0.1, 0.5, least=0.4)
    assert share == 1.0
