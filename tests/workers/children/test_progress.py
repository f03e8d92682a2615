"""A child that computes is left alone however long it is silent; one that stands still is ended."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from workers.children import progress
from workers.children.progress import cpu_seconds, wait_for_stall

SLEEPING = "import time; time.sleep(600)"
COMPUTING = "while True: pass"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STALLED_SECONDS", 3.0)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(progress, "LEAST_CPU_SECONDS", 0.1)


@pytest.fixture
def session(request: pytest.FixtureRequest) -> Iterator[int]:
    """A session of one process that runs the code."""
    command = [sys.executable, "-c", request.param]
    with subprocess.Popen(command, start_new_session=True) as process:
        time.sleep(0.5)
        yield process.pid
        process.kill()


def stalls(session: int, *, silent: bool, within: float) -> bool:
    ended, started = threading.Event(), time.monotonic()
    timer = threading.Timer(within, ended.set)
    timer.start()
    try:
        return wait_for_stall(session, lambda: started if silent else time.monotonic(), ended)
    finally:
        timer.cancel()


@pytest.mark.parametrize("session", [SLEEPING], indirect=True)
def test_silence_without_computing_is_a_stall(session: int) -> None:
    assert stalls(session, silent=True, within=120)


@pytest.mark.parametrize("session", [SLEEPING], indirect=True)
def test_a_child_that_answers_has_not_stalled(session: int) -> None:
    assert not stalls(session, silent=False, within=6)


@pytest.mark.parametrize("session", [SLEEPING], indirect=True)
def test_a_child_that_nobody_waits_for_has_not_stalled(session: int) -> None:
    ended = threading.Event()
    threading.Timer(6, ended.set).start()
    assert not wait_for_stall(session, lambda: None, ended)


@pytest.mark.parametrize("session", [COMPUTING], indirect=True)
def test_silence_while_it_computes_is_no_stall(session: int) -> None:
    before = cpu_seconds(session)
    assert not stalls(session, silent=True, within=8)
    assert cpu_seconds(session) > before
