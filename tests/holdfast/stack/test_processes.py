"""Which process is which, by id and birth."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.stack.processes import birth, session_of, works_in

NOBODY = 65534


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "home" / "run"
    folder.mkdir(parents=True)
    process = subprocess.Popen(["sleep", "60"], cwd=folder, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_zombie_has_ended(sleeper: subprocess.Popen[bytes]) -> None:
    assert session_of(sleeper.pid) == {sleeper.pid: birth(sleeper.pid)}
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert birth(sleeper.pid) is None
    sleeper.wait()
    assert session_of(sleeper.pid) == {}


def test_a_process_is_a_folders_by_its_birth_and_where_it_works(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    born = birth(sleeper.pid)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    (tmp_path / "home2").mkdir()
    assert works_in(tmp_path / "home", sleeper.pid, born)
    assert works_in(tmp_path / "link", sleeper.pid, born)
    assert not works_in(tmp_path / "home2", sleeper.pid, born)
    assert not works_in(tmp_path / "home", sleeper.pid, f"{born}0")
    assert not works_in(tmp_path / "home", sleeper.pid, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start somebody else's process")
def test_somebody_elses_process_is_no_folders(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"], user=NOBODY, cwd="/")
    try:
        assert birth(process.pid) is not None
        assert not works_in(Path("/"), process.pid, birth(process.pid))
    finally:
        process.kill()
        process.wait()
