"""A report or an id that lies there is gone before a command can end without one of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.ids import new_id
from tests.support.servers import scratch_folder

EVALUATION = new_id("eval")
SUBMIT = ("submit", "a", "--baseline", "b")
FILES = ("r.md", "j.xml", "id")
REPORTS = ("--report", "md=r.md", "--report=junit=j.xml")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a path short enough for a data folder in it, whoever runs the tests."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that holds a report, another and an id, and leads to no server."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("pass, says the repository")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOLDFAST_SERVER", "http://127.0.0.1:1")
    monkeypatch.setenv("HOLDFAST_PATIENCE_SECONDS", "0")
    monkeypatch.setenv("HOLDFAST_API_KEY", "hf_nobodys")
    return folder


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("verdict", EVALUATION), 4),  # no server
        (("submit", "/a", "--baseline", "/b", "--policy", "demo", "--id-file", "id"), 4),
        ((*SUBMIT, "--id-file", "id"), 2),  # no such folder
        ((*SUBMIT, "--id-file=id", "--policy", "./absent.yaml"), 2),
        ((*SUBMIT, "--tier", "grand", "--id-file", "id"), 2),  # no such tier
        (("check", "a", "--baseline", "b"), 2),
        (("wait", "ckpt_1"), 2),
        (("no-such-command",), 2),
        (("gate", "--baseline", "x", "--candidate", "y", "--policy", "demo"), 2),
        (("remediate", EVALUATION, "--recipe", "wise_ft"), 4),
    ],
)
def test_no_verdict_leaves_no_report_and_no_id(
    words: tuple[str, ...], code: int, checkout: Path
) -> None:
    line = [words[0], *REPORTS, *words[1:]]
    assert main(line) == code
    names = {path.name for path in checkout.iterdir()}
    assert names == (set() if any("--id-file" in word for word in words) else {"id"})


def test_the_output_of_report_is_one_too(checkout: Path) -> None:
    for words in (("-o", "r.md"), ("--output=j.xml",), ("-oid",)):
        assert main(["report", EVALUATION, *words]) == 4
    assert [*checkout.iterdir()] == []


def test_of_other_commands_such_a_flag_names_what_stays(checkout: Path) -> None:
    assert main(["evidence", EVALUATION, "-o", "r.md"]) == 4
    assert main(["wait", EVALUATION, "--report", "pdf=r.md"]) == 2
    assert sorted(path.name for path in checkout.iterdir()) == sorted(FILES)


def test_a_link_on_the_way_to_a_report_is_refused_before_anything_is_asked(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.md").write_text("of somebody else")
    (checkout / "reports").symlink_to(tmp_path)
    assert main(["verdict", EVALUATION, "--report", "md=reports/r.md"]) == 2
    assert "reports is a link" in capsys.readouterr().err
    assert (tmp_path / "r.md").read_text() == "of somebody else"
