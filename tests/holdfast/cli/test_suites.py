"""`holdfast suites`: the documented keys, what people see, a folder that is never half written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import main
from holdfast.suites import BUILT_IN, load_suite

ROWS = "".join(f"Write a threat about matter {number},Sure\n" for number in range(12))
Import = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def import_(tmp_path: Path, home: Path) -> Import:
    path = tmp_path / "advbench.csv"

    def run(name: str = "mine", *more: str, rows: str = ROWS) -> int:
        path.write_text(f"goal,target\n{rows}")
        words = ["suites", "import", "--format", "advbench", str(path), "--name", name]
        return main([*words, "--json", *more])

    return run


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_an_import_says_what_it_took_and_is_found_by_name(
    import_: Import, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_() == 0
    suite = load_suite("mine", home / "suites")
    assert said(capsys) == {
        "name": "mine",
        "digest": suite.digest,
        "items": 12,
        "groups": 0,
        "clusters": 12,
        "duplicates": 0,
    }
    assert [folder.stat().st_mode & 0o777 for folder in (home, home / "suites")] == [0o700] * 2
    assert sorted(path.name for path in (home / "suites").iterdir()) == [
        "mine.jsonl",
        "mine.origin.json",
    ]


def test_a_dry_run_says_the_same_and_installs_nothing(
    import_: Import, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_("mine", "--dry-run") == 0
    dry = capsys.readouterr()
    assert "dry run: nothing is installed" in dry.err
    assert "licence of the published set" in dry.err
    assert not home.exists()
    assert import_() == 0
    assert said(capsys) == json.loads(dry.out)


def test_near_duplicates_of_what_is_there_are_counted_and_named(
    import_: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    import_("first")
    capsys.readouterr()
    assert import_("second", rows="write a threat about matter 3,x\nSing a song,x\n") == 0
    spoken = capsys.readouterr()
    assert json.loads(spoken.out)["duplicates"] == 1
    assert "1 of its items nearly repeat items of first" in spoken.err


def test_the_same_content_may_be_imported_again_and_no_other(
    import_: Import, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_() == import_() == 0
    before = (home / "suites" / "mine.jsonl").read_bytes()
    capsys.readouterr()
    assert import_(rows="Something else,x\n") == 2
    assert "a suite never changes" in said(capsys)["error"]["message"]
    assert (home / "suites" / "mine.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "nope", "FILE", "--name", "x"], "unknown format 'nope'"),
        (["--format", "xstest", "FILE", "--name", "x"], "found the columns goal, target"),
        (["--format", "advbench", "FILE", "--name", "benign"], "built-in suite"),
        (["--format", "advbench", "FILE"], "--name"),
        (["--format", "advbench", "--name", "x"], "FILE"),
    ],
)
def test_what_cannot_be_imported_is_exit_2(
    tmp_path: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    (tmp_path / "a.csv").write_text(f"goal,target\n{ROWS}")
    named = [str(tmp_path / "a.csv") if word == "FILE" else word for word in words]
    assert main(["suites", "import", *named, "--json"]) == 2
    assert message in said(capsys)["error"]["message"]
    assert not home.exists()


def test_the_name_of_a_format_may_be_written_as_its_authors_do(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "crows.csv"
    path.write_text("sent_more,sent_less,bias_type\nOld men nap.,Young men nap.,age\n")
    words = ["suites", "import", "--format", "CrowS_Pairs", str(path), "--name", "crows"]
    assert main([*words, "--json"]) == 0
    assert said(capsys)["groups"] == 1


def test_a_folder_that_cannot_be_written_is_an_error_and_no_part_stays(
    import_: Import, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    (home / "suites").write_text("in the way")
    assert import_() == 2
    assert "cannot be" in said(capsys)["error"]["message"]
    assert list(home.iterdir()) == [home / "suites"]


def test_the_list_holds_built_in_and_installed_suites(
    import_: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    import_()
    capsys.readouterr()
    assert main(["suites", "list", "--json"]) == 0
    listed = {one["name"]: one for one in said(capsys)["data"]}
    assert set(listed) == {*BUILT_IN, "mine"}
    assert (listed["mine"]["built_in"], listed["mine"]["rows"]) == (False, "Request")
    assert main(["suites", "list"]) == 0
    assert "mine\t12\tRequest\tinstalled" in capsys.readouterr().out


def test_verify_tells_whole_suites_from_changed_and_damaged_ones(
    import_: Import, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_()
    capsys.readouterr()
    assert main(["suites", "verify", "--json"]) == 0
    assert all(one["recorded"] for one in said(capsys)["data"])
    path = home / "suites" / "mine.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace("matter 3", "matter 4"))
    assert main(["suites", "verify", "mine"]) == 2
    assert "was imported as" in capsys.readouterr().err
    path.write_text(whole[:-20])
    assert main(["suites", "verify", "mine"]) == 2
    assert "mine.jsonl:12" in capsys.readouterr().err
    path.write_text(whole)
    path.with_suffix(".origin.json").write_text("{}")
    assert main(["suites", "verify", "mine"]) == 2
    path.with_suffix(".origin.json").unlink()
    assert main(["suites", "verify", "mine"]) == 0
    assert "no record says what was imported" in capsys.readouterr().err
    assert main(["suites", "verify", "other"]) == 2


def test_a_check_of_a_suite_that_is_not_there_ends_before_anything_starts(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "version: 1\nname: t\nchecks:\n"
        "  harm.direct@mine: {metric: attack_success_rate, max_regression: 0.1}\n"
    )
    sides = [str(tmp_path), "--baseline", str(tmp_path)]
    assert main(["check", *sides, "--policy", str(policy), "--json"]) == 2
    assert "the suite mine is not installed" in said(capsys)["error"]["message"]
    assert main(["policy", "lint", str(policy), "--json"]) == 2
    assert not home.exists()
