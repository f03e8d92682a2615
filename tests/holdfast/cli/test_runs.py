"""list, show, cancel and retry, against a real stack with the scripted engine."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.runs import _age
from tests.holdfast.cli.conftest import POLICY, Shell
from tests.support.stack import Launched

pytestmark = pytest.mark.timeout(900)


def test_runs_are_listed_shown_canceled_and_queued_again(
    run: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.submit("eroded")[0] == 1
    _, queued = run.submit("snail", "--no-wait")
    assert run("cancel", queued["id"])[0] == 0
    code, newest = run("list", "--limit", "2")
    assert code == 0
    waiting, judged = newest["evaluations"]
    assert (waiting["id"], judged["verdict"]) == (queued["id"], "fail")
    assert [e["id"] for e in run("list", "--verdict", "fail")[1]["evaluations"]] == [judged["id"]]
    assert run("list", "--verdict", "pass")[1] == {"evaluations": []}

    assert main(["show", judged["id"]]) == 0
    shown = capsys.readouterr().out
    assert f"holdfast remediate {judged['id']} --recipe auto --wait" in shown
    assert judged["candidate"] in shown
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "evaluation",
        "status",
        "verdict",
        "tier",
        "age",
        "candidate",
        "baseline",
    ]
    assert [line.split()[0] for line in lines[1:]] == [waiting["id"], judged["id"]]

    assert run("wait", queued["id"])[0] == 4, "a canceled run has no verdict"
    assert run("retry", queued["id"])[0] == 0
    assert run("show", queued["id"])[1]["status"] in {"queued", "running"}
    assert run("cancel", queued["id"])[0] == 0
    assert run("retry", judged["id"])[0] == 2, "what has a verdict is not asked again"


def test_a_run_is_found_again_by_its_branch_its_line_and_its_labels(
    run: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_SHA": "c0ffee",
        "GITHUB_REF_NAME": "topic",
        "GITHUB_RUN_ID": "42",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    _, queued = run.submit("snail", "--no-wait", "--label", "epoch=3", "--label", "by=nightly")
    (listed,) = run("list", "--branch", "topic")[1]["evaluations"]
    assert listed["id"] == queued["id"]
    assert listed["labels"] == {"epoch": "3", "by": "nightly"}
    assert listed["cause"] == {
        "repository": "o/r",
        "commit": "c0ffee",
        "branch": "topic",
        "run_url": "https://github.com/o/r/actions/runs/42",
    }
    assert run("list", "--branch", "other")[1] == {"evaluations": []}
    assert run("list", "--line", "production")[1] == {"evaluations": []}
    assert run("cancel", queued["id"])[0] == 0
    assert run.submit("snail", "--no-wait", "--label", "No Name=3")[0] == 2


def test_what_is_no_run_is_refused_in_a_sentence(run: Shell) -> None:
    assert run("show", "eval_01a231bbef3472bab2357e0f5ecbf502")[0] == 2
    assert run("retry", "rem_01a231bbef3472bab2357e0f5ecbf502")[0] == 2
    assert run("cancel", "ckpt_1")[0] == 2


@pytest.mark.parametrize(
    ("seconds", "age"), [(0.2, "0 s"), (59, "59 s"), (61, "1 min"), (7200, "2 h"), (172_800, "2 d")]
)
def test_an_age_has_one_unit(seconds: float, age: str) -> None:
    assert _age(seconds) == age


def test_an_old_baseline_is_said_with_its_days(
    run: Shell, stack: Launched, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = POLICY.replace("checks:", "baselines: {warn_after_days: 30}\nchecks:")
    (models / "aging.yaml").write_text(policy)
    assert run("baseline", "set", "aged", str(models / "parent"))[0] == 0
    database = sqlite3.connect(stack.home / "holdfast.db")
    with closing(database), database:
        database.execute(
            "UPDATE baseline_moves SET created_at = '2026-01-01 00:00:00.000000' "
            "WHERE alias = 'aged'"
        )
    words = ["submit", "eroded", "--baseline", "alias:aged", "--tier", "demo", "--policy"]
    assert main([*words, "aging.yaml"]) == 1
    said = capsys.readouterr().out
    assert "alias:aged for" in said
    assert "the baseline is old: alias:aged has pointed at it for" in said
    assert main([*words, "quick.yaml"]) == 1
    assert "the baseline is old" not in capsys.readouterr().out
