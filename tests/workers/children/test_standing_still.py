"""Engines and training that stand still, whatever they are at: ended in time, and good again."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.errors import EngineFailed, TrainingFailed, Unreachable
from holdfast.probes.engine import Continuation, Sampling
from holdfast.stack import stack_file
from tests.support.stack import scripted_checkpoint
from tests.workers.children.test_training_child import long_run, plan
from workers.children import progress
from workers.children.supervisor import RunnerEngine
from workers.children.walls import showing
from workers.worker import Worker

__all__ = ["plan"]

WITHIN = 60.0  # seconds that a call may take until it is given up
SLOW = {"seconds_per_answer": 600.0}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STALLED_SECONDS", 2.0)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(showing, "ANSWER_SECONDS", 4.0)


def members(home: Path) -> dict[int, str]:
    (record,) = (home / "run").glob("*.sid")
    return stack_file.session_of(int(record.stem))


def stop(home: Path) -> None:
    """SIGSTOP for all of the tree but its guard, which would be the last to hang."""
    (record,) = (home / "run").glob("*.sid")
    for pid in members(home):
        if pid != int(record.stem):
            os.kill(pid, signal.SIGSTOP)


@contextmanager
def given_up_in_time(home: Path) -> Iterator[None]:
    """The block ends in time, and leaves no process of the tree that it began with."""
    before, began = members(home), time.monotonic()
    yield
    assert time.monotonic() - began < WITHIN
    assert not [pid for pid, born in before.items() if stack_file.birth(pid) == born]


PHASES: dict[str, Callable[[RunnerEngine, Path], object]] = {
    "examining": lambda engine, model: engine.examine(model),
    "loading": lambda engine, model: engine.open(model, None),
    "generating": lambda engine, _: list(engine.generate(["Hi"], Sampling(4))),
    "scoring": lambda engine, _: list(engine.logprobs([Continuation("Hi", " there")])),
}


@pytest.mark.parametrize("phase", PHASES)
def test_an_engine_that_hangs_is_ended_and_answers_again(
    worker: Worker, models: Path, phase: str
) -> None:
    engine, home = worker.engine, worker.settings.home
    engine.open(models / "aligned", None)
    stop(home)
    with given_up_in_time(home), pytest.raises(EngineFailed, match="neither answered nor computed"):
        PHASES[phase](engine, models / "eroded")
    engine.open(models / "aligned", None)
    assert len(list(engine.generate(["Hi"], Sampling(4)))) == 1


def test_an_engine_that_hangs_in_mid_answer_is_ended(worker: Worker, models: Path) -> None:
    slow = scripted_checkpoint(models / "slow", 7.0, refuse_share=1.0, **SLOW)
    worker.engine.open(slow, None)
    threading.Timer(0.3, stop, [worker.settings.home]).start()
    with given_up_in_time(worker.settings.home), pytest.raises(EngineFailed, match="neither"):
        list(worker.engine.generate(["Hi"], Sampling(4)))


def test_a_training_that_hangs_is_ended(worker: Worker, plan: Callable[..., Path]) -> None:
    run = worker.training.run(long_run(worker, plan))
    next(run)
    with given_up_in_time(worker.settings.home):
        stop(worker.settings.home)
        with pytest.raises(TrainingFailed, match="neither spoke nor computed"):
            list(run)


def test_a_merge_that_hangs_before_its_first_word_is_ended(
    worker: Worker, plan: Callable[..., Path]
) -> None:
    file = plan(recipe="wise_ft")

    def stop_soon() -> None:
        while not list((worker.settings.home / "run").glob("*.sid")):
            time.sleep(0.01)
        while len(members(worker.settings.home)) < 2:
            time.sleep(0.01)
        stop(worker.settings.home)

    stopper = threading.Thread(target=stop_soon)
    stopper.start()
    began = time.monotonic()
    with pytest.raises((TrainingFailed, Unreachable), match=r"neither spoke|said nothing"):
        list(worker.training.run(file))
    stopper.join()
    assert time.monotonic() - began < WITHIN
    assert list((worker.settings.home / "checkpoints").iterdir()) == []
