import os
import signal
import subprocess
from pathlib import Path

import pytest

from holdfast.errors import Conflict
from holdfast.stack import stack_file


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], start_new_session=True)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert stack_file.read(tmp_path) is None
    stack_file.write(tmp_path, "http://127.0.0.1:1", {"api": os.getpid()})
    known = stack_file.read(tmp_path)
    assert known is not None
    assert (known.url, known.launcher) == ("http://127.0.0.1:1", os.getpid())
    assert known.children == {"api": (os.getpid(), stack_file.birth(os.getpid()))}
    stack_file.remove(tmp_path)
    assert stack_file.read(tmp_path) is None


def test_a_folder_has_one_launcher(tmp_path: Path) -> None:
    with stack_file.only_launcher(tmp_path):
        with pytest.raises(Conflict, match="still starting"), stack_file.only_launcher(tmp_path):
            pass
        stack_file.write(tmp_path, "http://127.0.0.1:1", {})
        with pytest.raises(Conflict, match=r"127\.0\.0\.1:1"), stack_file.only_launcher(tmp_path):
            pass
    with stack_file.only_launcher(tmp_path):
        pass


def test_leftovers_are_ended_and_strangers_are_not(tmp_path: Path) -> None:
    ours, stranger = sleeper(), sleeper()
    try:
        stack_file.write(tmp_path, "http://127.0.0.1:1", {"api": ours.pid, "worker": stranger.pid})
        text = (tmp_path / "stack.json").read_text()
        born = stack_file.birth(stranger.pid)
        stolen = text.replace(
            f'{stranger.pid}, "{born}"', f'{stranger.pid}, "{int(born or 0) - 1}"'
        )
        assert stolen != text
        (tmp_path / "stack.json").write_text(stolen)  # the id was given to another process since
        stack_file.end_leftovers(tmp_path, grace=10.0)
        assert ours.wait(10) == -signal.SIGTERM
        assert stranger.poll() is None
        assert stack_file.read(tmp_path) is None
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()


def test_a_zombie_is_gone() -> None:
    process = sleeper()
    assert stack_file.session_of(process.pid) == {process.pid: stack_file.birth(process.pid)}
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert stack_file.birth(process.pid) is None
    process.wait()
    assert stack_file.session_of(process.pid) == {}
