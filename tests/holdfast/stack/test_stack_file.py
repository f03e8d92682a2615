import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Conflict, InvalidSettings, Unreachable
from holdfast.stack import stack_file
from holdfast.stack.processes import birth

URL = "http://127.0.0.1:1"


@contextmanager
def sleeper(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(["sleep", "60"], cwd=folder, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert stack_file.read(tmp_path) is None
    stack_file.write(tmp_path, URL, {"api": os.getpid()})
    known = stack_file.read(tmp_path)
    assert known is not None
    assert (known.url, known.launcher) == (URL, os.getpid())
    assert known.children == {"api": (os.getpid(), birth(os.getpid()))}
    stack_file.remove(tmp_path)
    assert stack_file.read(tmp_path) is None


def test_a_folder_has_one_launcher(tmp_path: Path) -> None:
    assert not stack_file.launcher_lives(tmp_path)
    with stack_file.only_launcher(tmp_path):
        assert stack_file.launcher_lives(tmp_path)
        with pytest.raises(Conflict, match="still starting"), stack_file.only_launcher(tmp_path):
            pass
        stack_file.write(tmp_path, URL, {})
        with pytest.raises(Conflict, match=r"127\.0\.0\.1:1"), stack_file.only_launcher(tmp_path):
            pass
    assert not stack_file.launcher_lives(tmp_path)
    with stack_file.only_launcher(tmp_path):
        pass


@pytest.mark.parametrize("name", ["stack.lock", "stack.json.draft", "stack.json"])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / name).symlink_to("theirs")
    if name == "stack.lock":
        with pytest.raises(InvalidSettings, match="is a link"), stack_file.only_launcher(tmp_path):
            pass
    else:
        stack_file.write(tmp_path, URL, {})
    assert (tmp_path / "theirs").read_text() == "theirs"


def change(home: Path, **fields: Any) -> None:
    file = home / "stack.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5:8321",
        "http://gate.example:8321",
        "https://127.0.0.1:8321",
        "http://127.0.0.1",
        "http://127.0.0.1:8321/elsewhere",
        "http://user@127.0.0.1:8321",
        "http://127.0.0.1:8321@gate.example:80",
        "http://127.0.0.1.gate.example:8321",
        "http://127.0.0.1:8321\n",
        "http://127.0.0.1:8321#",
        "file:///etc/passwd",
        "",
    ],
)
def test_no_file_leads_to_another_machine(tmp_path: Path, url: str) -> None:
    stack_file.write(tmp_path, URL, {})
    change(tmp_path, url=url)
    with pytest.raises(InvalidSettings, match=r"expected http://127\.0\.0\.1:PORT"):
        stack_file.read(tmp_path)


@pytest.mark.parametrize("url", ["http://localhost:8321", "http://[::1]:8321"])
def test_this_machine_has_several_names(tmp_path: Path, url: str) -> None:
    stack_file.write(tmp_path, url, {})
    found = stack_file.read(tmp_path)
    assert found is not None
    assert found.url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"url": 1, "launcher": 1, "children": {}}',
        '{"url": "http://127.0.0.1:1", "launcher": 1, "children": {"api": [-1, "5"]}}',
        '{"url": "http://127.0.0.1:1", "launcher": 1, "children": {"api": 7}}',
    ],
)
def test_what_is_no_announcement_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(InvalidSettings, match=r"is no stack's: .*holdfast up"):
        stack_file.read(tmp_path)


def test_a_stack_runs_where_its_api_works_in_its_folder(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    assert stack_file.running(home) is None
    with sleeper(home / "run") as ours, sleeper(other) as stranger:
        stack_file.write(home, URL, {"api": ours.pid})
        assert stack_file.running(home) == stack_file.read(home)
        for children in ({}, {"redis": ours.pid}, {"api": stranger.pid}):
            stack_file.write(home, URL, children)
            with pytest.raises(Unreachable, match="start one with `holdfast up`"):
                stack_file.running(home)
        stack_file.write(home, URL, {"api": ours.pid})
        change(home, children={"api": [ours.pid, "1"]})
        with pytest.raises(Unreachable, match="names a stack at"):
            stack_file.running(home)
        stack_file.write(home, URL, {"api": ours.pid})
    with pytest.raises(Unreachable, match="names a stack at"):
        stack_file.running(home)


def test_without_a_list_of_processes_the_launchers_lock_says_that_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_file, "PROC", tmp_path / "no-proc")
    stack_file.write(tmp_path, URL, {})
    with pytest.raises(Unreachable):
        stack_file.running(tmp_path)
    with stack_file.only_launcher(tmp_path):
        assert stack_file.running(tmp_path) is not None


def test_leftovers_are_ended_and_strangers_are_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with ExitStack() as processes:
        ours, later, elsewhere = (
            processes.enter_context(sleeper(folder))
            for folder in (home / "run", home / "run", tmp_path / "other")
        )
        children = {
            name: [p.pid, birth(p.pid)] for name, p in {"api": ours, "x": elsewhere}.items()
        }
        stack_file.write(home, URL, {})
        # the id of `later` was given to another process since; `elsewhere` is none of this folder's
        change(home, children={**children, "worker": [later.pid, "1"]})
        stack_file.end_leftovers(home, grace=10.0)
        assert ours.wait(10) == -signal.SIGTERM
        assert (later.poll(), elsewhere.poll()) == (None, None)
        assert stack_file.read(home) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda home: (home / "stack.json").chmod(0o666),
        lambda home: home.chmod(0o777),
        lambda home: change(home, url="http://gate.example:80"),
    ],
)
def test_a_file_that_is_not_believed_ends_no_process(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with sleeper(home / "run") as ours:
        stack_file.write(home, URL, {"api": ours.pid})
        spoil(home)
        with pytest.raises(InvalidSettings):
            stack_file.end_leftovers(home, grace=0.1)
        assert ours.poll() is None


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_key_that_others_can_read_is_no_key(tmp_path: Path, mode: int) -> None:
    assert stack_file.read_key(tmp_path) is None
    file = stack_file.key_file(tmp_path)
    file.write_text("hf_secret\n")
    file.chmod(0o600)
    assert stack_file.read_key(tmp_path) == "hf_secret"
    file.chmod(mode)
    with pytest.raises(InvalidSettings, match=f"its mode 0{mode:o}"):
        stack_file.read_key(tmp_path)
