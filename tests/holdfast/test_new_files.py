"""What is written where a person said: a new file, through no link, or nothing and a sentence."""

import os
import stat
from pathlib import Path

import pytest

from holdfast.errors import InvalidPolicy
from holdfast.new_files import remove_old, write_new


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside the working folder, with a file that nothing may touch."""
    (tmp_path / "here").mkdir()
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "r.md").write_text("as it was")
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_file_is_written_whole_with_its_folder_and_nothing_beside_it(outside: Path) -> None:
    target = Path("made") / "here" / "r.md"
    for content in (b"first", b"then"):
        write_new(target, content, InvalidPolicy)
        assert target.read_bytes() == content
    assert [*target.parent.iterdir()] == [target]
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_a_link_is_replaced_and_not_followed(outside: Path) -> None:
    for _ in range(2):
        Path("r.md").unlink(missing_ok=True)
        Path("r.md").symlink_to(outside / "r.md")
        remove_old(Path("r.md"), InvalidPolicy)
        assert not Path("r.md").is_symlink()
        Path("r.md").symlink_to(outside / "r.md")
        write_new(Path("r.md"), b"a report", InvalidPolicy)
        assert (Path("r.md").is_symlink(), Path("r.md").read_bytes()) == (False, b"a report")
    assert (outside / "r.md").read_text() == "as it was"


@pytest.mark.parametrize("form", ["{}", "./{}", "sub/../{}", "{here}/{}"])
def test_a_folder_that_is_a_link_leads_nowhere(form: str, outside: Path) -> None:
    Path("sub").mkdir()
    Path("reports").symlink_to(outside)
    target = Path(form.format("reports/r.md", here=Path.cwd()))
    with pytest.raises(InvalidPolicy, match="reports is a link"):
        remove_old(target, InvalidPolicy)
    with pytest.raises(InvalidPolicy, match="reports is a link"):
        write_new(target, b"a report", InvalidPolicy)
    assert (outside / "r.md").read_text() == "as it was"
    assert [*outside.iterdir()] == [outside / "r.md"]


def test_a_link_above_the_working_folder_is_the_machines_own(outside: Path) -> None:
    link = outside.parent / "link"
    link.symlink_to(outside)
    write_new(link / "r.md", b"a report", InvalidPolicy)
    assert (outside / "r.md").read_bytes() == b"a report"
    remove_old(link / "r.md", InvalidPolicy)
    assert [*outside.iterdir()] == []


def test_a_pipe_is_written_to_and_stays(outside: Path) -> None:
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        remove_old(Path("pipe"), InvalidPolicy)
        write_new(Path("pipe"), b"a report", InvalidPolicy)
        assert os.read(reader, 100) == b"a report"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


def test_the_terminal_is_written_to_by_its_link_and_the_link_stays(
    outside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    remove_old(Path("/dev/stdout"), InvalidPolicy)
    assert Path("/dev/stdout").is_symlink()
    write_new(Path("/dev/stdout"), b"a report\n", InvalidPolicy)
    assert "a report\n" in capfd.readouterr().out


@pytest.mark.parametrize("target", [".", "folder", "file/r.md"])
def test_what_cannot_be_written_is_said_before_and_then(target: str, outside: Path) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    with pytest.raises(InvalidPolicy, match="cannot be written: "):
        remove_old(Path(target), InvalidPolicy)
    if target != ".":
        with pytest.raises(InvalidPolicy, match="cannot be written: "):
            write_new(Path(target), b"a report", InvalidPolicy)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["file", "folder"]
