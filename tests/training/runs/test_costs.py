"""What a run takes beside plain fine-tuning, on a clock that the test holds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from training.devices.peak import Peak
from training.objectives.alternation import Objective
from training.runs.costs import Costs


class Hours:
    """A clock that moves by what is done."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def costs(clock: Hours, peaks: Sequence[int | None] = ()) -> Costs:
    coming = iter(peaks)

    @contextmanager
    def measure() -> Iterator[Peak]:
        peak = Peak()
        yield peak
        peak.memory = next(coming, None)

    return Costs(clock, measure)


def step(counted: Costs, clock: Hours, *turns: Objective, measuring: float = 0.0) -> None:
    """Turns of 2 s (task) and 3 s (preference), and 1 s of everything else."""
    with counted.step():
        clock.now += measuring
        for turn in turns:
            with counted.turn(turn):
                clock.now += 2.0 if turn == "task" else 3.0
    clock.now += 1.0


def test_a_run_on_the_task_alone_is_plain_fine_tuning() -> None:
    clock = Hours()
    counted = costs(clock, [10, 12])
    with counted.run():
        step(counted, clock, "task")
        step(counted, clock, "task")
    assert counted.beside_plain() == {"time_beside_plain": 1.0, "memory_beside_plain": 1.0}


def test_both_in_every_step_cost_what_they_cost() -> None:
    clock = Hours()
    counted = costs(clock, [10, 15])
    with counted.run():
        step(counted, clock, "task", "preference")
    assert counted.beside_plain() == {"time_beside_plain": 2.0, "memory_beside_plain": 1.5}


def test_what_is_measured_before_and_between_is_the_recipes() -> None:
    clock = Hours()
    counted = costs(clock)
    clock.now += 6.0  # the optima
    with counted.run():
        step(counted, clock, "task", measuring=3.0)
        step(counted, clock, "task")
    beside = counted.beside_plain()
    assert beside["time_beside_plain"] == pytest.approx((6 + 3 + 6) / 6)
    assert beside["memory_beside_plain"] is None


@pytest.mark.parametrize("turns", [(), ("preference",)])
def test_without_a_turn_on_the_task_nothing_is_compared(turns: tuple[Objective, ...]) -> None:
    clock = Hours()
    counted = costs(clock, [10])
    with counted.run():
        if turns:
            step(counted, clock, *turns)
    assert set(counted.beside_plain().values()) == {None}


def test_a_turn_that_broke_and_is_done_again_counts_once() -> None:
    clock = Hours()
    counted = costs(clock, [10, 10])

    def break_off() -> None:
        with counted.step(), counted.turn("task"):
            clock.now += 5.0
            raise MemoryError

    with counted.run():
        with pytest.raises(MemoryError):
            break_off()
        step(counted, clock, "task")
    assert (counted.steps, counted.task_seconds) == (1, [2.0])
