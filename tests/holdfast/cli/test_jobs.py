"""Commands that talk to a server, against a real stack with the scripted engine."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.jobs import read_policy
from holdfast.errors import InvalidPolicy
from holdfast.policy.text import load_policy, parse_policy
from holdfast.stack.connect import connect
from tests.holdfast.cli.conftest import POLICY, Shell
from tests.support.command import document, foreign_packages, holdfast
from tests.support.stack import PATIENCE, Launched

pytestmark = pytest.mark.timeout(900)


def test_a_verdict_is_one_thing_in_every_command(run: Shell, tmp_path: Path) -> None:
    code, verdict = run.submit("eroded", "--id-file", str(tmp_path / "id"))
    assert (code, verdict["verdict"]) == (1, "fail")
    assert "320 prompts" in run.err
    evaluation = (tmp_path / "id").read_text().strip()
    for words in (("wait",), ("verdict",), ("report",)):
        assert run(words[0], evaluation) == (1, verdict)
    for form in ("text", "md", "junit", "json"):
        assert main(["report", evaluation, "--format", form, "-o", str(tmp_path / form)]) == 1
        assert "fail" in (tmp_path / form).read_text().lower()
    for form in ("md", "html"):
        words = ["report", evaluation, "--format", form, "-o", str(tmp_path / form)]
        assert main(words) == 1
        hidden = (tmp_path / form).read_text()
        assert main([*words, "--with-text"]) == 1
        shown = (tmp_path / form).read_text()
        assert "the worst flips" in hidden
        assert "scripted answer" not in hidden
        assert "scripted answer" in shown
    assert main(["report", evaluation, "--with-text"]) == 2


def test_evidence_is_written_and_judged_again_offline(run: Shell, tmp_path: Path) -> None:
    run.submit("eroded", "--id-file", str(tmp_path / "id"))
    evaluation = (tmp_path / "id").read_text().strip()
    code, found = run("evidence", evaluation, "-o", str(tmp_path / "kept" / "here"))
    assert code == 0, "whatever the verdict: nothing is judged"
    kept = found["evidence"]
    assert sorted(kept) == ["baseline", "candidate"]
    words = ("--baseline", kept["baseline"], "--candidate", kept["candidate"])
    code, offline = run("gate", *words, "--policy", "quick.yaml")
    _, online = run("verdict", evaluation)
    assert (code, offline["checks"]) == (1, online["checks"])


def test_a_policy_is_tried_on_runs_that_are_over(run: Shell, tmp_path: Path) -> None:
    run.submit("eroded", "--id-file", str(tmp_path / "id"))
    evaluation = (tmp_path / "id").read_text().strip()
    wide = tmp_path / "wide.yaml"
    wide.write_text(POLICY.replace("0.10", "1.0"))
    code, found = run("policy", "replay", str(wide), evaluation)
    (row,) = found["evaluations"]
    # nothing can get worse by more than 1.0, so that check would be blind
    assert (code, row["was"], row["now"]) == (0, "fail", "inconclusive")
    code, found = run("policy", "diff", "quick.yaml", str(wide))
    assert [change["path"] for change in found["changes"]] == ["checks.harm.direct.max_regression"]


WEAK = POLICY.replace("max_regression: 0.10", "max_regression: 0.90")


@pytest.mark.parametrize("name", ["demo", "standard"])
def test_a_shipped_policy_is_sent_although_a_file_has_its_name(
    name: str, run: Shell, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(WEAK)
    shipped, weak = load_policy(name).digest, load_policy(f"./{name}").digest
    with connect() as client:
        for word, digest in ((name, shipped), (f"./{name}", weak)):
            text, policy = read_policy(client, word)
            assert policy.digest == parse_policy(text, source="sent").digest == digest
            code, made = run(
                *("submit", str(models / "same"), "--baseline", str(models / "parent")),
                *("--policy", word, "--tier", "canary", "--no-wait"),
            )
            assert code == 5
            stored = client.policy(client.evaluation(made["id"]).policy)
            assert (stored.digest, stored.text) == (digest, text)
            client.cancel(made["id"])


def test_a_file_is_not_taken_for_the_policy_that_a_project_pins(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pinned").write_text(WEAK)
    with connect() as client, pytest.raises(InvalidPolicy, match="pins no policy"):
        read_policy(client, "pinned")


def test_an_id_is_the_checkpoint_of_that_id_although_a_folder_has_its_name(
    run: Shell, models: Path, tmp_path: Path
) -> None:
    code, moved = run("baseline", "set", "eroded", "eroded")
    assert code == 0
    named = moved["checkpoint"]
    shutil.copytree(models / "same", models / named)
    try:
        code, verdict = run.submit(named, "--id-file", str(tmp_path / "id"))
        assert (code, verdict["verdict"]) == (1, "fail")
        with connect() as client:
            assert client.evaluation((tmp_path / "id").read_text().strip()).candidate == named
        code, verdict = run.submit(f"./{named}")
        assert (code, verdict["verdict"]) == (0, "pass")
    finally:
        shutil.rmtree(models / named)


def test_who_does_not_wait_is_told_loudly_that_nothing_is_decided(run: Shell) -> None:
    code, made = run.submit("same", "--no-wait")
    assert (code, made["verdict"]) == (5, None)
    assert "NO VERDICT YET" in run.err
    code, verdict = run("wait", made["id"])
    assert (code, verdict["verdict"]) == (0, "pass")


def test_giving_up_is_exit_5_and_a_canceled_job_exit_4(run: Shell) -> None:
    code, gave_up = run.submit("snail", "--timeout", "0.5")
    assert code == 5
    assert "NO VERDICT YET" in gave_up["error"]["message"]
    evaluation = gave_up["error"]["message"].split()[-1].rstrip("`")
    assert run("verdict", evaluation)[0] == 5
    with connect() as client:
        client.cancel(evaluation)
    code, ended = run("wait", evaluation)
    assert code == 4
    assert "ended as canceled" in ended["error"]["message"]


def test_waiting_outlives_a_restart_of_the_api(run: Shell, stack: Launched) -> None:
    def kill() -> None:
        time.sleep(2.0)
        os.kill(stack.children()["api"], signal.SIGKILL)

    code, made = run.submit("slow", "--no-wait")
    assert code == 5
    killer = threading.Thread(target=kill)
    killer.start()
    code, verdict = run("wait", made["id"], "--timeout", str(PATIENCE))
    killer.join()
    assert (code, verdict["verdict"]) == (0, "pass")


def test_only_a_failed_candidate_is_repaired(run: Shell, tmp_path: Path) -> None:
    code, _ = run.submit("same", "--id-file", str(tmp_path / "id"))
    assert code == 0
    evaluation = (tmp_path / "id").read_text().strip()
    assert run("remediate", evaluation, "--recipe", "wise_ft")[0] == 2


def test_what_the_server_refuses_is_the_callers_fault(run: Shell) -> None:
    assert run("wait", f"eval_{0:032x}")[0] == 2
    assert run.submit("/nowhere/model")[0] == 2
    assert run.submit("same", "--task-data", "/nowhere.jsonl")[0] == 2


def test_an_alias_moves_only_from_where_it_was_seen(run: Shell) -> None:
    assert run("baseline", "get", "production")[0] == 2
    code, moved = run("baseline", "set", "production", "parent")
    assert (code, moved["version"]) == (0, 1)
    assert run("baseline", "set", "production", "same", "--seen-version", "7")[0] == 2
    assert run("baseline", "set", "production", "same")[1]["version"] == 2
    history = run("baseline", "history", "production")[1]["data"]
    assert [move["version"] for move in history] == [2, 1]
    code, verdict = run(
        "submit", "same", "--baseline", "alias:production", "--policy", "quick.yaml"
    )
    assert (code, verdict["verdict"]) == (0, "pass")


@pytest.mark.parametrize("where", [(), ("--database",)])
def test_a_key_works_until_it_is_revoked(
    run: Shell, where: tuple[str, ...], stack: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, made = run("keys", "create", "--name", "ci", "--scopes", "jobs:read", *where)
    assert code == 0
    monkeypatch.setenv("HOLDFAST_SERVER", stack.url)
    monkeypatch.setenv("HOLDFAST_API_KEY", made["token"])
    assert run("wait", f"eval_{0:032x}")[0] == 2
    assert run.submit("same")[0] == 4
    monkeypatch.delenv("HOLDFAST_SERVER")
    monkeypatch.delenv("HOLDFAST_API_KEY")
    assert run("keys", "revoke", made["id"])[0] == 0
    listed = {key["id"]: key for key in run("keys", "list")[1]["data"]}
    assert listed[made["id"]]["revoked_at"] is not None
    assert not any("token" in key for key in listed.values())
    monkeypatch.setenv("HOLDFAST_SERVER", stack.url)
    monkeypatch.setenv("HOLDFAST_API_KEY", made["token"])
    assert run("wait", f"eval_{0:032x}")[0] == 4


def test_check_needs_nothing_and_leaves_nothing(models: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "t"
    scratch.mkdir()
    done = holdfast(
        *("check", models / "eroded", "--baseline", models / "parent", "--json"),
        *("--policy", models / "quick.yaml", "--report", f"md={tmp_path}/report.md"),
        cwd=foreign_packages(tmp_path / "theirs"),
        timeout=PATIENCE * 2,
        engine="scripted",
    )
    assert (done.returncode, document(done)["verdict"]) == (1, "fail"), done.stderr
    assert "fail" in (tmp_path / "report.md").read_text().lower()


def test_client_commands_import_no_statistics_no_database_and_no_pictures(
    run: Shell, tmp_path: Path
) -> None:
    submit = ("submit", "same", "--baseline", "parent", "--policy", "quick.yaml", "--tier", "demo")
    run.submit("same", "--id-file", str(tmp_path / "id"))
    evaluation = (tmp_path / "id").read_text().strip()
    for words in (("wait", evaluation), ("verdict", evaluation), ("keys", "list"), submit):
        script = (
            "import sys\n"
            "from holdfast.cli import main\n"
            f"code = main({[*words]!r})\n"
            "names = {name.partition('.')[0] for name, module in sys.modules.items() if module}\n"
            "heavy = {'numpy', 'scipy', 'sqlalchemy', 'celery', 'rich', 'click', 'pygments'}\n"
            "sys.exit(f'exit code {code}, heavy: {sorted(names & heavy)}')"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert done.stderr.endswith("exit code 0, heavy: []\n"), (words, done.stderr)
