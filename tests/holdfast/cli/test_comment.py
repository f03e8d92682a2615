"""`--comment` and `holdfast comment`, as a CI job runs them, against a GitHub of our own."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.forges.comment import marker_of
from tests.holdfast.cli.conftest import Shell
from tests.holdfast.cli.test_gate import files
from tests.support.command import COMMAND, environment
from tests.support.forge_server import ForgeState, forge_server

PULL = {"number": 5, "head": {"sha": "c0ffee", "ref": "topic"}}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeState]:
    """A run on a pull request, at a stand-in."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": PULL}))
    with forge_server() as started:
        given = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_API_URL": started.url,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_TOKEN": "secret-token",
            "GITHUB_WORKSPACE": str(tmp_path),
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.mark.parametrize(
    ("outcome", "code", "conclusion"),
    [("pass", 0, "success"), ("fail", 1, "failure"), ("inconclusive", 3, "action_required")],
)
def test_the_pull_request_and_its_commit_say_what_the_exit_code_says(
    tmp_path: Path, state: ForgeState, outcome: str, code: int, conclusion: str
) -> None:
    for _ in range(2):
        assert main([*files(tmp_path, outcome), "--comment"]) == code
    (comment,) = state.comments
    assert comment["body"].startswith(marker_of("holdfast"))
    assert f"**{outcome.upper()}**" in comment["body"]
    assert [check["conclusion"] for check in state.checks] == [conclusion] * 2
    assert {check["head_sha"] for check in state.checks} == {"c0ffee"}


def test_what_cannot_be_posted_is_said_and_changes_no_exit_code(
    tmp_path: Path, state: ForgeState, capsys: pytest.CaptureFixture[str]
) -> None:
    state.refused = {"POST /comments": 403, "POST /check-runs": 403, "POST /c0ffee": 403}
    assert main([*files(tmp_path, "pass"), "--comment"]) == 0
    said = capsys.readouterr().err
    assert "the comment was not posted, and the verdict stands" in said
    assert said.count("403, the token may not") == 2
    assert "secret-token" not in said


def test_a_comment_is_written_though_the_commit_takes_no_word(
    tmp_path: Path, state: ForgeState
) -> None:
    state.refused = {"POST /check-runs": 403, "POST /c0ffee": 403}
    assert main([*files(tmp_path, "fail"), "--comment", "--gate", "nightly"]) == 1
    assert state.comments[0]["body"].startswith(marker_of("nightly"))


def test_a_gate_that_did_not_run_is_red_on_the_commit(tmp_path: Path, state: ForgeState) -> None:
    words = files(tmp_path, "pass")
    (tmp_path / "a.jsonl").write_text("no evidence\n")
    assert main([*words, "--comment"]) == 2
    (check,) = state.checks
    assert check["conclusion"] == "failure"
    assert check["output"]["title"].startswith("not run: ")
    assert state.comments == []


def test_without_a_ci_run_it_is_said_and_the_verdict_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITLAB_CI", raising=False)
    assert main([*files(tmp_path, "fail"), "--comment"]) == 1
    assert "found no CI run" in capsys.readouterr().err


def test_a_verdict_that_a_fork_left_is_posted_by_another_run(
    tmp_path: Path, state: ForgeState, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its job has no rights of its own; the one that has finds the pull request by the commit."""
    report = tmp_path / "verdict.json"
    assert main([*files(tmp_path, "fail"), "--report", f"json={report}"]) == 1
    run = {
        "head_sha": "c0ffee",
        "head_branch": "topic",
        "head_repository": {"owner": {"login": "guest"}},
    }
    (tmp_path / "event.json").write_text(json.dumps({"workflow_run": run}))
    state.pulls = [{"number": 9, "head": {"sha": "c0ffee"}}]
    assert main(["comment", str(report)]) == 0
    assert "pull request 9, and nothing on its commit" in capsys.readouterr().out
    (comment,) = state.comments
    assert "nothing may hang on it" in comment["body"]
    assert state.checks == state.statuses == [], "a fork can write any verdict"
    report.write_text('{"verdict": "pass"}')
    assert main(["comment", str(report)]) == 2
    assert main(["comment", str(tmp_path / "none.json")]) == 2
    assert len(state.comments) == 1


def test_a_dry_run_posts_nothing(
    tmp_path: Path, state: ForgeState, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "verdict.json"
    main([*files(tmp_path, "fail"), "--report", f"json={report}"])
    assert main(["comment", str(report), "--dry-run", "--gate", "g"]) == 0
    assert marker_of("g") in capsys.readouterr().out
    assert state.requests == []


def test_an_evaluation_is_told_with_the_command_that_repairs_it(
    run: Shell, state: ForgeState, tmp_path: Path
) -> None:
    code, _ = run.submit("eroded", "--id-file", str(tmp_path / "id"), "--comment")
    assert code == 1
    evaluation = (tmp_path / "id").read_text().strip()
    repair = f"holdfast remediate {evaluation} --recipe auto".replace("_", "\\_")
    assert repair in state.comments[0]["body"]
    assert run("comment", evaluation)[0] == 0
    assert len(state.comments) == 1
    assert run.submit("eroded", "--no-wait", "--comment")[0] == 5
    assert state.checks[-1]["status"] == "in_progress"


def test_findings_stand_at_the_policys_lines_or_in_the_workflow(
    tmp_path: Path, state: ForgeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(*words: str) -> tuple[str, int]:
        file = tmp_path / "r.sarif"
        main([*words, "--report", f"sarif={file}"])
        (result, *_) = json.loads(file.read_text())["runs"][0]["results"]
        where = result["locations"][0]["physicalLocation"]
        return where["artifactLocation"]["uri"], where["region"]["startLine"]

    words = files(tmp_path, "fail")
    assert place(*words) == ("policy.yaml", 4)
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", "o/r/.github/workflows/g.yml@refs/heads/main")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "elsewhere"))
    assert place(*words) == (".github/workflows/g.yml", 1)
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert place(*words) == ("holdfast-policy.yaml", 1)
    assert state.requests == []


def test_the_offline_gate_imports_no_http_client_unless_it_is_to_comment(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom holdfast.cli import main\n"
        f"main({files(tmp_path, 'pass')!r})\nsys.exit('httpx' in sys.modules)"
    )
    python = COMMAND.with_name("python")
    done = subprocess.run(
        [python, "-c", script], env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
