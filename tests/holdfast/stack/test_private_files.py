"""What somebody else can have written is not believed, and says what was found."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import InvalidSettings
from holdfast.stack.private_files import READABLE, WRITABLE, read_private

NOBODY = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "home" / "stack.json"
    file.parent.mkdir(mode=0o700)
    file.write_text("text")
    file.chmod(0o600)
    return file


def test_a_file_of_this_users_alone_is_read(file: Path) -> None:
    assert read_private(file, WRITABLE) == read_private(file, READABLE) == "text"


def test_what_is_not_there_is_none(file: Path) -> None:
    assert read_private(file.with_name("other"), WRITABLE) is None
    assert read_private(file.parent / "nowhere" / "stack.json", WRITABLE) is None


def test_the_folder_may_be_reached_by_a_link(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file.parent)
    assert read_private(tmp_path / "link" / file.name, WRITABLE) == "text"


def linked(file: Path) -> None:
    file.rename(file.with_name("real"))
    file.symlink_to("real")


def piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def in_a_file(file: Path) -> None:
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("no folder")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (linked, "it is a link"),
        (piped, "it is no plain file"),
        (lambda file: (file.unlink(), file.mkdir()), "it is no plain file"),
        (in_a_file, "Not a directory"),
        (lambda file: file.chmod(0o620), r"its mode 0620 lets others in, expected 0600"),
        (lambda file: file.chmod(0o602), r"its mode 0602 lets others in, expected 0600"),
        (lambda file: file.parent.chmod(0o770), r"home is not believed: its mode 0770"),
        (lambda file: file.write_text("x" * 100_000), "larger than"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "no ASCII"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(
    file: Path, change: Callable[[Path], object], sentence: str
) -> None:
    change(file)
    with pytest.raises(InvalidSettings, match=rf"{sentence}.*holdfast up.*HOLDFAST_SERVER"):
        read_private(file, WRITABLE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o755])
def test_a_secret_is_one_only_where_nobody_else_can_read_it(file: Path, mode: int) -> None:
    file.chmod(mode)
    if not mode & 0o022:
        assert read_private(file, WRITABLE) == "text"
    with pytest.raises(InvalidSettings, match=rf"its mode 0{mode:o} .* \(chmod {mode & 0o700:o}\)"):
        read_private(file, READABLE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("whose", ["file", "folder"])
def test_what_belongs_to_somebody_else_is_refused(file: Path, whose: str) -> None:
    os.chown(file if whose == "file" else file.parent, NOBODY, -1)
    with pytest.raises(InvalidSettings, match=f"it belongs to uid {NOBODY}, expected 0"):
        read_private(file, WRITABLE)
