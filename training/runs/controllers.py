"""Controllers of a constraint's weight: how hard to pull back, from how far a run has gone.

Pure functions from a frozen state and the last measured cost to the next state, so that a run that
was killed goes on with the same weights. The cost is given as a share of the bound: 1 is the bound,
and the gains need no knowledge of its unit. None of them promises that the bound holds in the end;
that is for the rollback and the projection (training/runs/constraint.py).

- doubling (PPO, https://arxiv.org/abs/1707.06347): twice or half, outside a band of a factor 2.25.
- pid (Stooke et al. 2020, https://arxiv.org/abs/2007.03964): the multiplier of the Lagrangian, its
  integral held at 0 from below, its derivative heeded only when costs rise. With the integral alone
  it is dual ascent.
- ziegler (https://arxiv.org/abs/1909.08593): a factor of at most a fifth of `gain` either way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from holdfast.repairs.knobs import Controller

BAND = 1.5
WEIGHT_RANGE = (2.0**-10, 2.0**10)  # beyond which doubling could no longer turn around in time
ZIEGLER_CLIP = 0.2
# of a cost that counts at most, so that one bad look does not wind PID up for good
MAX_COST_SHARE = 10.0


@dataclass(frozen=True, slots=True)
class Gains:
    """Gains of the PID controller; the defaults, OmniSafe's, are for hundreds of episodes."""

    proportional: float = 0.1
    integral: float = 0.01
    derivative: float = 0.01
    smoothing: float = 0.95  # of both moving averages
    delay: int = 10  # steps over which the derivative is taken


@dataclass(frozen=True, slots=True)
class State:
    """A controller's weight and PID's memory; `costs` are smoothed, the oldest first."""

    weight: float
    integral: float = 0.0
    excess: float = 0.0
    costs: tuple[float, ...] = (0.0,)


def start_state(weight: float, bound: float) -> State:
    """The state before the first cost; without a bound there is nothing to weigh."""
    weight = 0.0 if bound == inf else weight
    return State(weight=weight, integral=weight)


def doubling(state: State, cost: float, limit: float = 1.0) -> State:
    """Twice the weight above 1.5 times the limit, half of it below the limit / 1.5."""
    lowest, highest = WEIGHT_RANGE
    if cost > BAND * limit:
        return replace(state, weight=min(2 * state.weight, highest))
    if cost < limit / BAND:
        return replace(state, weight=max(state.weight / 2, lowest))
    return state


def ziegler(state: State, cost: float, limit: float = 1.0, *, gain: float = 0.1) -> State:
    """The weight times 1 + gain * (cost / limit - 1, at most a fifth either way)."""
    error = min(max(cost / limit - 1, -ZIEGLER_CLIP), ZIEGLER_CLIP)
    return replace(state, weight=state.weight * (1 + gain * error))


def pid(state: State, cost: float, limit: float = 1.0, *, gains: Gains | None = None) -> State:
    """The Lagrange multiplier after one more cost."""
    gains = gains or Gains()
    excess = cost - limit
    integral = max(0.0, state.integral + gains.integral * excess)
    smoothed = gains.smoothing * state.excess + (1 - gains.smoothing) * excess
    latest = gains.smoothing * state.costs[-1] + (1 - gains.smoothing) * cost
    rising = max(0.0, latest - state.costs[0])
    weight = gains.proportional * smoothed + integral + gains.derivative * rising
    costs = (*state.costs, latest)[-gains.delay :]
    return State(max(0.0, weight), integral, smoothed, costs)


# for runs of tens of steps, whose costs are shares of the bound
SHORT_RUN = Gains(proportional=1.0, integral=0.1, derivative=1.0, smoothing=0.8, delay=5)


RISE, FALL = 1.5, 0.9


def share_after(share: float, cost: float, limit: float, *, bounds: tuple[float, float]) -> float:
    """The share of safety rows after one more look at what the policy has lost: within `bounds`.

    Half as much again while the cost is above its limit, a tenth less else.
    """
    lowest, highest = bounds
    return min(max(share * (RISE if cost > limit else FALL), lowest), highest)


def bound_share_after(share: float, cost: float, limit: float, *, least: float) -> float:
    """The share of a bound that is held after one more look at what the policy has lost.

    As `share_after` moves what is to grow while refusals go, this moves what is to shrink: by the
    same factors, within `least` and the whole bound.
    """
    return min(max(share / (RISE if cost > limit else FALL), least), 1.0)


def _short_pid(state: State, cost: float) -> State:
    return pid(state, cost, gains=SHORT_RUN)


CONTROLLERS: dict[Controller, Callable[[State, float], State]] = {
    "doubling": doubling,
    "pid": _short_pid,
    "ziegler": ziegler,
}


def weight_after(controller: Controller, state: State, cost: float, bound: float) -> State:
    """The next state, the cost as a share of the bound; a bound of 0 is always far exceeded."""
    if bound == inf:
        return replace(state, weight=0.0)
    share = cost / bound if bound > 0 else inf
    return CONTROLLERS[controller](state, min(share, MAX_COST_SHARE))
