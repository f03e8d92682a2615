"""Children behind walls: what they cannot reach, what works all the same, and what is required."""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from holdfast.checkpoints.checkpoint import admitted_model, ref_of
from holdfast.probes.engine import Message, Sampling
from holdfast.settings import Settings
from tests.support.tiny_llama import build_tiny_llama
from workers.children.environment import runner_environment
from workers.children.guarded import Needs, end_guarded, release, start_guarded
from workers.children.supervisor import RunnerEngine
from workers.children.training_child import WRITES, TrainingChild
from workers.children.walls import landlock
from workers.children.walls.scratch import new_scratch
from workers.views import StagedCheckpoint, Views

HELLO = (Message("user", "hello"),)
Behind = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    given: dict[str, Any] = {"database_url": "", "broker_url": "", "dtype": "float32"}
    return Settings(home=home, checkpoint_roots=(tmp_path,), engine="transformers", **given)


@pytest.fixture
def behind(settings: Settings) -> Behind:
    """Have a child try things: `behind(read=[path])`; returns how each try ended."""

    def attempt(wall: str = "auto", writes: tuple[str, ...] = (), **tries: Any) -> dict[str, Any]:
        child = start_guarded(
            settings.model_copy(update={"wall": wall}),
            "tests.support.behind_walls",
            [json.dumps(tries, default=str)],
            requests=os.open(os.devnull, os.O_RDONLY),
            log=settings.home / "log" / "behind.log",
            needs=Needs(runner_environment(settings.home, os.environ, {}), writes),
        )
        release(child)
        with closing(child.answers):
            printed = child.answers.read()
        end_guarded(child)
        assert printed, child.log.read_text()
        found: dict[str, Any] = json.loads(printed)
        return found

    return attempt


def test_no_other_machine_and_no_loopback_but_its_own_is_reached(behind: Behind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        tries = {"connect": [server.getsockname()], "listen": [0]}
        found = behind(**tries, route=[("192.0.2.1", 9)])
        without = behind(wall="off", **tries)
    assert (found["connect"], found["listen"]) == (["ConnectionRefusedError"], ["done"])
    assert found["route"] == ["OSError"]
    assert (without["connect"], without["listen"]) == (["done"], ["done"])


def test_sockets_of_the_data_folder_and_abstract_ones_are_shut(
    behind: Behind, settings: Settings
) -> None:
    with socket.socket(socket.AF_UNIX) as broker, socket.socket(socket.AF_UNIX) as abstract:
        settings.redis_socket.parent.mkdir()
        broker.bind(str(settings.redis_socket))
        broker.listen()
        abstract.bind(f"\0holdfast-{os.getpid()}")
        abstract.listen()
        tries = [str(settings.redis_socket), f"\0holdfast-{os.getpid()}"]
        found, without = behind(unix=tries), behind(wall="off", unix=tries)
    assert "done" not in found["unix"]
    assert without["unix"] == ["done", "done"]


def test_no_secret_of_the_data_folder_is_read_and_nothing_outside_is_written(
    behind: Behind, settings: Settings, tmp_path: Path
) -> None:
    names = ("admin.key", "pepper", "audit.key", "holdfast.db", "stack.json", "run/1.sid")
    (settings.home / "run").mkdir()
    (settings.home / "views").mkdir()
    (settings.home / "work").mkdir()
    secrets = [settings.home / name for name in names]
    for file in (*secrets, tmp_path / "weights"):
        file.write_text("secret")
    places = [*secrets, settings.home / "views" / "x", settings.home / "work" / "x"]
    outside = [*places, tmp_path / "x", Path.home() / ".holdfast-x", Path("/tmp/holdfast-x")]
    found = behind(read=[*secrets, tmp_path / "weights"], write=outside, list=[settings.home])
    assert found["read"] == ["PermissionError"] * len(secrets) + ["done"]
    assert found["write"] == ["PermissionError"] * len(outside)
    assert found["list"] == ["PermissionError"]
    assert [file.read_text() for file in secrets] == ["secret"] * len(secrets)


def test_what_a_child_needs_is_written_and_moved(behind: Behind, settings: Settings) -> None:
    work, checkpoints = settings.home / "work", settings.home / "checkpoints"
    for folder in (work, checkpoints):
        folder.mkdir()
    (work / "made").mkdir()
    places = [settings.home / "cache" / "x", work / "x", Path(f"/dev/shm/holdfast-{os.getpid()}")]
    found = behind(writes=WRITES, write=places, move=[(work / "made", checkpoints / "made")])
    places[-1].unlink()
    assert found["write"] == ["done"] * 3
    assert found["move"] == ["done"]
    assert not Path(found["temporary"]).exists(), "its temporary files go with it"


def test_the_folder_of_a_child_that_died_with_its_guard_is_removed_by_the_next(
    behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive = new_scratch(), new_scratch()
    os.close(dead.lock)  # as the kernel does for whoever is killed
    behind()
    assert (dead.path.exists(), alive.path.exists()) == (False, True)
    os.close(alive.lock)


def test_it_gains_nothing_dumps_nothing_and_keeps_its_many_files(behind: Behind) -> None:
    found = behind()
    assert found["gain"].split() == ["NoNewPrivs:", "1"]
    assert found["core"] == [0, 0]
    assert found["files"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))


def test_its_worker_gets_no_signal_and_shows_no_environment(behind: Behind) -> None:
    tries: dict[str, Any] = {"environment": [os.getpid()]}
    if landlock.version() >= landlock.SCOPES_FROM:
        tries["signal"] = [os.getpid()]
    found, without = behind(**tries), behind(wall="off", **tries)
    for name in tries:
        assert (found[name], without[name]) == (["PermissionError"], ["done"])


@pytest.fixture
def staged(settings: Settings, tmp_path: Path) -> Iterator[StagedCheckpoint]:
    folder = build_tiny_llama(tmp_path / "tiny")
    with closing(Views(settings.home)) as views, ExitStack() as descriptors:
        admitted = admitted_model(str(folder), [tmp_path], descriptors)
        yield views.stage(ref_of(admitted), admitted)


def test_a_staged_checkpoint_answers_from_behind_the_walls(
    settings: Settings, staged: StagedCheckpoint, tmp_path: Path
) -> None:
    """Its weights are a link to a descriptor of this process, which nobody there may follow."""
    weights = tmp_path / "tiny" / "model.safetensors"
    with closing(RunnerEngine(settings)) as engine:
        weights.rename(tmp_path / "tiny" / "moved")
        engine.open(staged.path, None)
        assert engine.loaded == staged.path
        assert len(dict(engine.generate([HELLO], Sampling(4)))) == 1
        assert not list(settings.home.rglob("*.sid"))[1:], "one start is enough"
        log = (settings.home / "log" / "engine.log").read_text()
    assert [line for line in log.splitlines() if "does not stand" in line] == []


def test_a_training_reads_staged_checkpoints_and_leaves_one(
    settings: Settings, staged: StagedCheckpoint
) -> None:
    folders = [settings.home / name for name in ("work/rem_1", "checkpoints")]
    for folder in folders:
        folder.mkdir(parents=True)
    plan = folders[0] / "on-views.json"
    output = folders[1] / "rem_1"
    places = {"baseline": staged.path, "candidate": staged.path, "output": output}
    plan.write_text(json.dumps({"recipe": "wise_ft", **places}, default=str))
    assert list(TrainingChild(settings).run(plan))[-1]["event"] == "done"
    assert (output / "model.safetensors").is_file()


def test_an_error_names_a_view_as_it_is_outside(
    settings: Settings, staged: StagedCheckpoint
) -> None:
    (staged.path / "tokenizer.json").unlink()
    with closing(RunnerEngine(settings)) as engine:
        with pytest.raises(Exception, match="tokenizer") as caught:
            engine.open(staged.path, None)
        assert "/held/" not in str(caught.value)


def test_what_lies_outside_all_that_was_named_costs_a_new_start(
    settings: Settings, tmp_path: Path
) -> None:
    scripted = settings.model_copy(update={"engine": "scripted", "checkpoint_roots": ()})
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        (folder / "scripted.json").write_text('{"behaviour": "echo"}')
    with closing(RunnerEngine(scripted)) as engine:
        starts = []
        for folder in (*folders, *folders):
            engine.open(folder, None)
            assert dict(engine.generate(["x"], Sampling(4)))[0].text == "x"
            starts.append([file.stem for file in (settings.home / "run").glob("*.sid")])
    assert starts[0] != starts[1] == starts[2] == starts[3]


ANSWER = """
import sys
from pathlib import Path
from holdfast.probes.engine import Sampling
from holdfast.settings import read_settings
from workers.children.supervisor import RunnerEngine
engine = RunnerEngine(read_settings())
engine.open(Path(sys.argv[1]), None)
print(dict(engine.generate(["x"], Sampling(4)))[0].text)
engine.close()
"""


@pytest.fixture
def on_old_kernel(settings: Settings, tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    """Ask the scripted engine on a kernel that refuses some of the walls."""
    (tmp_path / "scripted.json").write_text('{"behaviour": "echo"}')

    def run(wall: str, refused: str) -> CompletedProcess[str]:
        given = {"HOME": settings.home, "ENGINE": "scripted", "WALL": wall}
        names = {f"HOLDFAST_{name}": str(value) for name, value in given.items()}
        refusing = [sys.executable, "-m", "tests.support.refusing_kernel", refused]
        words = [*refusing, sys.executable, "-c", ANSWER, str(tmp_path)]
        return subprocess.run(
            words, env={**os.environ, **names}, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("refused", ["unshare", "landlock", "unshare,landlock"])
def test_where_the_kernel_lacks_a_wall_the_child_starts_and_the_log_says_so(
    refused: str, on_old_kernel: Callable[..., CompletedProcess[str]], settings: Settings
) -> None:
    done = on_old_kernel("auto", refused)
    assert done.stdout == "x\n", done.stderr
    log = (settings.home / "log" / "engine.log").read_text()
    lacking = {"unshare": "network does not stand", "landlock": "files does not stand"}
    for name, words in lacking.items():
        assert (words in log) == (name in refused)
    assert "privileges stands" in log


@pytest.mark.parametrize("refused", ["unshare", "landlock"])
def test_where_all_walls_are_required_and_one_is_lacking_nothing_starts(
    refused: str, on_old_kernel: Callable[..., CompletedProcess[str]], settings: Settings
) -> None:
    done = on_old_kernel("required", refused)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "MachineUnfit: HOLDFAST_WALL=required" in done.stderr
    assert not list((settings.home / "run").glob("*.sid"))


def test_required_walls_that_stand_are_no_hindrance(
    settings: Settings, staged: StagedCheckpoint
) -> None:
    required = settings.model_copy(update={"wall": "required"})
    with closing(RunnerEngine(required)) as engine:
        engine.examine(staged.path)
