"""A data folder that a repository brought, or that others can reach into, is not used."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import InvalidSettings
from holdfast.settings import make_home, read_settings
from holdfast.stack.embedded import running
from holdfast.stack.own_folder import SECRETS, require_own_folder
from tests.support.servers import scratch_folder

NOBODY = 65534


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a path short enough for a data folder in it, whoever runs the tests."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A data folder as we make it, with every secret in it."""
    folder = tmp_path / "repository" / ".holdfast"
    make_home(folder)
    for name in SECRETS:
        (folder / name).write_text("x")
        (folder / name).chmod(0o600)
    return folder


def git(repository: Path, *words: str, umask: int = 0o022) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *author, *words], cwd=repository, check=True, umask=umask)


def checked_out(folder: Path, *, umask: int) -> Path:
    """The folder as it lies in a clone of the repository that somebody committed it to."""
    repository = folder.parent
    git(repository, "init", "-q")
    git(repository, "add", "-f", ".")
    git(repository, "commit", "-q", "-m", "m")
    clone = repository.with_name("clone")
    git(repository, "clone", "-q", ".", str(clone), umask=umask)
    return clone / folder.name


def test_a_folder_of_ours_is_used(made: Path) -> None:
    require_own_folder(made)
    made.with_name("link").symlink_to(made)
    require_own_folder(made.with_name("link"))


@pytest.mark.parametrize(
    ("umask", "words"), [(0o022, "0755, expected 0700"), (0o077, "git tracks")]
)
def test_a_folder_that_came_with_a_repository_is_refused(
    made: Path, umask: int, words: str
) -> None:
    clone = checked_out(made, umask=umask)
    with pytest.raises(InvalidSettings, match=words) as refused:
        require_own_folder(clone)
    assert f"remove it; if you made it, run `chmod -R go= {clone}`" in str(refused.value)
    shutil.rmtree(clone)
    make_home(clone)
    git(clone.parent, "checkout", "-q", ".")  # into a folder that we made
    for name in SECRETS:
        (clone / name).chmod(0o600)
    with pytest.raises(InvalidSettings, match="git tracks"):
        require_own_folder(clone)


def test_a_folder_in_a_repository_that_does_not_track_it_is_used(made: Path) -> None:
    git(made.parent, "init", "-q")
    require_own_folder(made)


@pytest.mark.parametrize("name", ["", *SECRETS])
@pytest.mark.parametrize("bit", [0o040, 0o004, 0o020, 0o002])
def test_what_others_reach_is_refused_and_mended_as_it_says(
    made: Path, name: str, bit: int
) -> None:
    path = made / name
    path.chmod(path.stat().st_mode | bit)
    with pytest.raises(InvalidSettings, match=f"the mode of {path} is") as refused:
        require_own_folder(made)
    command = str(refused.value).partition("`")[2].partition("`")[0]
    subprocess.run(command.split(), check=True)
    require_own_folder(made)


def test_a_secret_that_is_a_link_is_refused(made: Path) -> None:
    (made / "pepper").rename(made / "other")
    (made / "pepper").symlink_to("other")
    with pytest.raises(InvalidSettings, match="pepper is no plain file"):
        require_own_folder(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away, as only root may")
@pytest.mark.parametrize("name", ["", "holdfast.db"])
def test_another_users_folder_or_database_is_refused(made: Path, name: str) -> None:
    os.chown(made / name, NOBODY, NOBODY)
    with pytest.raises(InvalidSettings, match=f"belongs to uid {NOBODY}, expected 0"):
        require_own_folder(made)


def test_no_stack_starts_in_a_folder_that_came_with_a_repository(made: Path) -> None:
    clone = checked_out(made, umask=0o022)
    settings = read_settings({"HOLDFAST_HOME": str(clone)})
    with (
        pytest.raises(InvalidSettings, match="is not used"),
        running(settings, threading.Event()),
    ):
        raise AssertionError("it started")
    assert {path.name for path in clone.iterdir()} == set(SECRETS), "nothing was written"
