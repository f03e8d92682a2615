"""The learning rate over a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.runs.schedule import rate_factor


def test_the_default_run_warms_up_holds_and_decays_to_nearly_nothing() -> None:
    rates = [rate_factor(k, steps=30, warmup_steps=5, decay_from=0.6) for k in range(30)]
    assert rates[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert rates[5:19] == [1.0] * 14
    assert rates[18:] == pytest.approx([k / 12 for k in range(12, 0, -1)])


@pytest.mark.parametrize(
    ("steps", "warmup_steps", "decay_from", "expected"),
    [
        (3, 0, 1.0, [1, 1, 1]),
        (1, 5, 0.6, [1 / 6]),
        (4, 0, 0.5, [1, 1, 1, 0.5]),
        (2, 5, 0.6, [1 / 6, 2 / 6]),
    ],
)
def test_short_runs(
    steps: int, warmup_steps: int, decay_from: float, expected: list[float]
) -> None:
    rates = [
        rate_factor(k, steps=steps, warmup_steps=warmup_steps, decay_from=decay_from)
        for k in range(steps)
    ]
    assert rates == pytest.approx(expected)


@given(
    steps=st.integers(1, 200),
    warmup_steps=st.integers(0, 50),
    decay_from=st.floats(0.01, 1),
)
def test_every_step_learns_and_none_beyond_the_peak(
    steps: int, warmup_steps: int, decay_from: float
) -> None:
    rates = [
        rate_factor(k, steps=steps, warmup_steps=warmup_steps, decay_from=decay_from)
        for k in range(steps)
    ]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
