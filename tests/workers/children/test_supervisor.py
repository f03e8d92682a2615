"""The process tree, with the scripted engine in it: real guard, runner, pipes and signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import CheckpointRefused, EngineFailed
from holdfast.probes.engine import Completion, Continuation, Message, Sampling
from holdfast.settings import Settings, read_settings
from tests.support.servers import scratch_folder
from workers.children import progress
from workers.children.environment import runner_environment
from workers.children.guard import session_members
from workers.children.sessions import reap_leftovers, record_session
from workers.children.supervisor import RunnerEngine, _each_once, _error_named
from workers.inference.backends import backend_of

SHORT = Sampling(max_tokens=16)
HI = (Message("user", "hello there"),)


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    return settings_of(home, tmp_path)


def settings_of(home: Path, root: Path) -> Settings:
    given = {"HOME": home, "ENGINE": "scripted", "CHECKPOINT_ROOTS": root}
    return read_settings({f"HOLDFAST_{name}": str(value) for name, value in given.items()})


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerEngine]:
    """One tree for the tests that leave it as they found it."""
    with scratch_folder() as folder:
        engine = RunnerEngine(settings_of(folder, tmp_path_factory.getbasetemp()))
        yield engine
        engine.close()


@pytest.fixture
def engine(settings: Settings) -> Iterator[RunnerEngine]:
    engine = RunnerEngine(settings)
    yield engine
    engine.close()


def scripted(folder: Path, **script: object) -> Path:
    folder.mkdir()
    (folder / "scripted.json").write_text(json.dumps(script))
    return folder


def sessions(home: Path) -> list[int]:
    return [int(file.stem) for file in (home / "run").glob("*.sid")]


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_answers_come_through_the_tree(warm: RunnerEngine, tmp_path: Path) -> None:
    warm.open(scripted(tmp_path / "a", behaviour="echo"), None)
    assert dict(warm.generate([HI, "raw text"], SHORT)) == {
        0: Completion("hello there", "stop", 2),
        1: Completion("raw text", "stop", 2),
    }
    assert warm.alive


def test_the_backend_is_known_before_anything_runs(engine: RunnerEngine) -> None:
    assert engine.backend == backend_of("scripted", "none")
    assert not engine.alive


def test_a_tree_that_was_begun_early_is_the_one_that_answers(
    engine: RunnerEngine, settings: Settings, tmp_path: Path
) -> None:
    engine.begin()
    before = sessions(settings.home)
    engine.begin()
    engine.open(scripted(tmp_path / "a", behaviour="echo"), None)
    assert dict(engine.generate(["early"], SHORT))[0].text == "early"
    assert sessions(settings.home) == before
    assert len(before) == 1


def test_a_begun_tree_that_has_died_meanwhile_is_started_again(
    engine: RunnerEngine, settings: Settings, tmp_path: Path
) -> None:
    engine.begin()
    (session,) = sessions(settings.home)
    os.kill(session, signal.SIGKILL)
    assert eventually(lambda: not engine.alive)
    engine.open(scripted(tmp_path / "a", behaviour="echo"), None)
    assert dict(engine.generate(["again"], SHORT))[0].text == "again"


def test_a_second_checkpoint_is_opened_in_the_same_tree(
    engine: RunnerEngine, settings: Settings, tmp_path: Path
) -> None:
    engine.open(scripted(tmp_path / "a", behaviour="echo"), None)
    before = sessions(settings.home)
    engine.open(scripted(tmp_path / "b", behaviour="empty"), None)
    assert dict(engine.generate([HI], SHORT))[0].text == ""
    assert sessions(settings.home) == before


def test_a_refused_checkpoint_is_the_callers_error_and_the_tree_stays(
    warm: RunnerEngine, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointRefused, match=r"no scripted\.json"):
        warm.open(tmp_path, None)
    assert warm.alive
    warm.open(scripted(tmp_path / "a", behaviour="echo"), None)
    assert dict(warm.generate(["again"], SHORT))[0].text == "again"


def test_scores_that_are_no_numbers_arrive_as_such(warm: RunnerEngine, tmp_path: Path) -> None:
    warm.open(scripted(tmp_path / "a", behaviour="nan"), None)
    ((_, score),) = warm.logprobs([Continuation("a", " b")])
    assert score.logprob != score.logprob


def test_without_an_open_there_is_nothing_to_ask(engine: RunnerEngine) -> None:
    with pytest.raises(EngineFailed, match="open a checkpoint"):
        list(engine.generate([HI], SHORT))


def test_kill_ends_a_call_that_blocks(
    engine: RunnerEngine, settings: Settings, tmp_path: Path
) -> None:
    engine.open(scripted(tmp_path / "slow", behaviour="echo", seconds_per_answer=60), None)
    (session,) = sessions(settings.home)
    threading.Timer(0.3, engine.kill).start()
    started = time.monotonic()
    with pytest.raises(EngineFailed, match="ended in mid-call"):
        list(engine.generate([HI], SHORT))
    assert time.monotonic() - started < 10
    assert not engine.alive
    assert session_members(session) == []
    assert sessions(settings.home) == []  # the call waits for the thread that ends the tree


def test_a_call_that_stands_still_is_given_up(
    engine: RunnerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.1)
    engine.open(scripted(tmp_path / "slow", behaviour="echo", seconds_per_answer=600), None)
    monkeypatch.setattr(progress, "STALLED_SECONDS", 1.0)
    with pytest.raises(EngineFailed, match="neither answered nor computed"):
        list(engine.generate([HI], SHORT))
    assert not engine.alive


def test_a_runner_that_dies_fails_the_call_and_can_be_opened_again(
    engine: RunnerEngine, settings: Settings, tmp_path: Path
) -> None:
    folder = scripted(tmp_path / "slow", behaviour="echo", seconds_per_answer=0.2)
    engine.open(folder, None)
    (session,) = sessions(settings.home)
    answers = engine.generate([HI] * 100, SHORT)
    next(answers)
    for pid in session_members(session):
        if pid != session:  # the guard leads the session
            os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineFailed, match=r"SIGKILL.*memory.*engine\.log"):
        list(answers)
    engine.open(folder, None)
    assert len(dict(engine.generate([HI], SHORT))) == 1


def test_answers_that_nobody_wants_any_more_are_not_those_of_the_next_call(
    engine: RunnerEngine, tmp_path: Path
) -> None:
    folder = scripted(tmp_path / "a", behaviour="echo", seconds_per_answer=0.01)
    engine.open(folder, None)
    answers = engine.generate(["one", "two", "three"], SHORT)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert not engine.alive
    engine.open(folder, None)
    assert dict(engine.generate(["four"], SHORT))[0].text == "four"


SUPERVISOR = """
import sys, threading
from pathlib import Path
from typing import Any
from holdfast.settings import read_settings
from holdfast.probes.engine import Sampling
from workers.children.supervisor import RunnerEngine
engine = RunnerEngine(read_settings({"HOLDFAST_HOME": sys.argv[1], "HOLDFAST_ENGINE": "scripted"}))
engine.open(Path(sys.argv[2]), None)
# said once the request has been with the runner for a moment: an idle one ends by itself
threading.Timer(1.0, print, ["open"], {"flush": True}).start()
list(engine.generate(["x"] * 1000, Sampling(4)))
"""


@pytest.fixture
def orphaned(home: Path, tmp_path: Path) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """A supervisor in a process of its own, busy, and the session of its tree."""
    folder = scripted(tmp_path / "slow", behaviour="echo", seconds_per_answer=30)
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(home), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "open\n"
        (session,) = sessions(home)
        yield session, supervisor
        supervisor.kill()


def test_a_killed_supervisor_leaves_no_process_behind(
    orphaned: tuple[int, "subprocess.Popen[str]"],
) -> None:
    session, supervisor = orphaned
    assert len(session_members(session)) == 3  # guard, keeper, runner
    environment = Path(f"/proc/{session}/environ").read_bytes().split(b"\0")
    (temporary,) = (word for word in environment if word.startswith(b"TMPDIR="))
    scratch = Path(os.fsdecode(temporary.removeprefix(b"TMPDIR="))).parent
    assert scratch.is_dir()
    supervisor.kill()
    supervisor.wait()
    assert eventually(lambda: session_members(session) == [] and not scratch.exists())


def test_leftovers_of_a_killed_guard_are_reaped_by_the_next_worker(
    orphaned: tuple[int, "subprocess.Popen[str]"], home: Path
) -> None:
    session, supervisor = orphaned
    assert reap_leftovers(home) == []  # its supervisor is alive
    os.kill(session, signal.SIGKILL)
    supervisor.kill()
    supervisor.wait()
    # the runner, asleep in an answer, has noticed nothing; the dead guard is init's to bury
    assert eventually(lambda: len(session_members(session)) == 1)
    assert reap_leftovers(home) == [session]
    assert session_members(session) == []
    assert sessions(home) == []


def test_a_session_that_is_not_ours_is_left_alone(home: Path, tmp_path: Path) -> None:
    (home / "run").mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True, cwd=tmp_path) as other:
        record_session(home, other.pid)
        file = home / "run" / f"{other.pid}.sid"
        record = json.loads(file.read_text())
        file.write_text(json.dumps({**record, "supervisor_start": "1"}))
        assert reap_leftovers(home) == []
        assert other.poll() is None
        assert not file.exists()
        other.kill()


def test_no_secret_reaches_the_runner(home: Path) -> None:
    given = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "HOLDFAST_DATABASE_URL": "postgresql://user:secret@host/db",
        "HOLDFAST_BROKER_URL": "redis://:secret@host",
        "HOLDFAST_KEY_PEPPER": "secret",
        "HF_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "VLLM_API_KEY": "secret",
        "PYTHONPATH": "/home/user/repo",
    }
    environment = runner_environment(home, given, {"CUDA_VISIBLE_DEVICES": "0"})
    assert "secret" not in json.dumps(environment)
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert environment["HF_HUB_OFFLINE"] == environment["PYTHONSAFEPATH"] == "1"
    assert "PYTHONPATH" not in environment


LIMITS = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "KMP_BLOCKTIME": "1",
}


def test_what_limits_the_instructions_reaches_a_child(home: Path) -> None:
    environment = runner_environment(home, LIMITS, {})
    assert {name: environment.get(name) for name in LIMITS} == LIMITS


def test_the_running_tree_has_that_environment_and_works_inside_the_data_folder(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "postgresql://user:secret@host/db")
    engine = RunnerEngine(settings)
    engine.open(scripted(tmp_path / "a", behaviour="echo"), None)
    (session,) = sessions(settings.home)
    for pid in session_members(session):
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert Path(f"/proc/{pid}/cwd").resolve() == (settings.home / "run").resolve()
    engine.close()


@pytest.mark.parametrize(
    ("indexes", "complaint"),
    [([0, 1, 1], "twice"), ([0, 2], "unasked"), ([0], "left 1 of 2"), ([], "left 2 of 2")],
)
def test_an_engine_that_does_not_answer_each_question_once_has_failed(
    indexes: list[int], complaint: str
) -> None:
    replies: list[tuple[int, dict[str, Any]]] = [(index, {}) for index in indexes]
    with pytest.raises(EngineFailed, match=complaint):
        list(_each_once(2, iter(replies)))


def test_an_error_of_an_unknown_name_is_still_an_engines() -> None:
    assert type(_error_named("CheckpointRefused", "no")) is CheckpointRefused
    assert type(_error_named("Any", "no")) is type(_error_named("Exotic", "no")) is EngineFailed
