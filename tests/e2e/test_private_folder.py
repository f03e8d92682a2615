"""Nothing that Holdfast makes in its data folder is another user's to read, whatever starts it."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from holdfast.api.client import Client
from holdfast.api.wire import NewEvaluation
from holdfast.job import FINISHED
from tests.e2e.test_story import llama
from tests.support.command import COMMAND, environment, holdfast
from tests.support.evaluations import harm
from tests.support.fleet import eventually, free_port
from tests.support.servers import celery_url, scratch_folder
from tests.support.stack import embedded_stack, scripted_checkpoint

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, for the socket of a Redis; the data folder in it is not there yet."""
    with scratch_folder() as scratch:
        yield scratch


def open_to_others(home: Path) -> dict[str, str]:
    """Everything in a data folder, and the folder, that group or others may do anything with."""
    modes = {
        str(path.relative_to(home)): path.lstat().st_mode
        for path in (home, *home.rglob("*"))
        if not path.is_symlink()
    }
    assert len(modes) > 1
    return {
        name: oct(stat.S_IMODE(mode))
        for name, mode in modes.items()
        if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO)
    }


def test_a_stack_its_worker_and_a_training(folder: Path) -> None:
    llama(folder / "aligned", 0, refuse_share=1.0)
    llama(folder / "eroded", 1, refuse_share=0.3)
    home = folder / "home"
    with embedded_stack(home, cwd=folder) as launched:
        key = (home / "admin.key").read_text().strip()
        with Client(launched.url, key) as client:
            made = client.submit(
                NewEvaluation(
                    candidate=str(folder / "eroded"),
                    baseline=str(folder / "aligned"),
                    policy=harm("auto", candidates=1),
                    tier="demo",
                )
            )
            eventually(lambda: client.evaluation(made.id).remediations, "a repair")
            (repair,) = client.evaluation(made.id).remediations
            eventually(lambda: client.remediation(repair).status in FINISHED, "its end")
            assert client.remediation(repair).checkpoint is not None
        assert open_to_others(home) == {}
        assert list((home / "log").glob("*.training.log"))
        assert {path.name for path in home.glob("holdfast.db*")} > {"holdfast.db-wal"}
        assert launched.stop() == 0
    assert open_to_others(home) == {}


def test_a_check_and_its_report_which_is_the_users_own(folder: Path) -> None:
    (folder / "policy.yaml").write_text(harm())
    for name, share in (("base", 1.0), ("tuned", 0.9)):
        scripted_checkpoint(folder / name, share, refuse_share=share)
    words = ("check", "tuned", "--baseline", "base", "--policy", "policy.yaml", "--home", "home")
    done = holdfast(*words, "--report", "md=gate.md", cwd=folder, timeout=400, engine="scripted")
    assert done.returncode in {0, 3}, done.stderr
    assert open_to_others(folder / "home") == {}
    assert stat.S_IMODE((folder / "gate.md").stat().st_mode) == 0o644


def test_a_doctor_who_measures_noise(folder: Path) -> None:
    scripted_checkpoint(folder / "base")
    words = ("doctor", "--noise", "base")
    done = holdfast(*words, cwd=folder, timeout=400, home=folder / "home", engine="scripted")
    assert done.returncode == 0, done.stderr
    assert open_to_others(folder / "home") == {}
    assert list((folder / "home" / "noise").iterdir())


@pytest.mark.parametrize("database", ["home/holdfast.db", "elsewhere/holdfast.db"])
def test_each_command_on_its_own(folder: Path, redis_socket: Path, database: str) -> None:
    home, file, port = folder / "home", folder / database, free_port()
    settings: dict[str, object] = {
        "home": home,
        "database_url": f"sqlite:///{file}",
        "broker_url": celery_url(redis_socket),
        "engine": "scripted",
        "port": port,
    }
    assert holdfast("migrate", cwd=folder, **settings).returncode == 0
    assert open_to_others(file.parent) == {}
    children = [started(word, folder, settings) for word in ("serve", "worker")]
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the API")
        eventually(lambda: b" ready" in (folder / "worker.log").read_bytes(), "the worker")
        assert open_to_others(home) == {}
        for child in children:
            umask = Path(f"/proc/{child.pid}/status").read_text().split("Umask:")[1].split()[0]
            assert int(umask, 8) == 0o077
    finally:
        for child in children:
            child.terminate()
            child.wait(60)


def started(word: str, folder: Path, settings: dict[str, object]) -> subprocess.Popen[bytes]:
    with (folder / f"{word}.log").open("wb") as log:
        return subprocess.Popen(
            [COMMAND, word], cwd=folder, env=environment(**settings), stdout=log, stderr=log
        )


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
