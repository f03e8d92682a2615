"""The commands of the CI examples, run by a shell as a CI runner runs them, on a real stack.

The stack runs the scripted engine: real API, queue, worker, runner and judges, and checkpoints
that answer by a script. A candidate that refuses as its parent does passes; one that complies with
everything fails; and whatever is not a pass must end the job.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from holdfast.cli.table import COMMANDS
from holdfast.policy.text import load_policy
from holdfast.stack.embedded import SUBCOMMAND
from tests.support.command import COMMAND, environment, holdfast
from tests.support.servers import scratch_folder
from tests.support.stack import PATIENCE, Launched, embedded_stack, scripted_checkpoint

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
POLICIES = sorted((ROOT / "examples" / "policies").glob("*.yaml"))
SHELL = ["bash", "-e", "-o", "pipefail", "-c"]  # as GitHub and GitLab start it
SAFE = {"behaviour": "refuse-harmful", "refuse_share": 0.9, "overrefuse_share": 0.05}

QUICK = """\
version: 1
name: quick
min_items: 40
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job of the CI ended, and what it left."""

    code: int
    said: str
    folder: Path

    def junit(self) -> ET.Element:
        return ET.parse(self.folder / "holdfast-reports" / "junit.xml").getroot()


def github() -> dict[str, Any]:
    return yaml.safe_load((CI / "github-actions.yml").read_text())["jobs"]["gate"]


def forks() -> dict[str, Any]:
    return yaml.safe_load((CI / "comment-on-forks.yml").read_text())["jobs"]["comment"]


def gitlab() -> dict[str, Any]:
    return yaml.safe_load((CI / "gitlab-ci.yml").read_text())["safety-gate"]


def run(script: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SHELL, script],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def run_github(folder: Path, variables: dict[str, str]) -> Ended:
    """Step after step; after a failed one only those with `if: always()`."""
    code, said = 0, ""
    variables = {**variables, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    for step in github()["steps"]:
        if "run" not in step or step["name"] == "Install":
            continue
        if code and step.get("if") != "always()":
            continue
        done = run(step["run"], folder, variables)
        code, said = code or done.returncode, said + done.stdout
    return Ended(code, said, folder)


def run_gitlab(folder: Path, variables: dict[str, str]) -> Ended:
    """The whole `script` in one shell, which stops at the first command that fails."""
    done = run("\n".join(gitlab()["script"]), folder, variables)
    return Ended(done.returncode, done.stdout, folder)


def run_action(folder: Path, variables: dict[str, str]) -> Ended:
    """The last step of the composite action, with the client as the step before it leaves it."""
    folder.mkdir(exist_ok=True)
    temp = folder / "temp"
    client = temp / "holdfast-client" / "bin"
    client.mkdir(parents=True, exist_ok=True)
    (client / "holdfast").symlink_to(COMMAND)
    inputs = {name: str(one.get("default", "")) for name, one in action()["inputs"].items()}
    (step,) = [step for step in action()["runs"]["steps"] if step.get("id") == "gate"]
    given = {
        name: inputs[value.split("inputs.")[1].split(" ")[0]]
        for name, value in step["env"].items()
        if not name.startswith("HOLDFAST_")
    }
    done = run(
        step["run"],
        folder,
        {
            **given,
            **variables,
            "CHECKPOINT": variables["CANDIDATE"],
            "RUNNER_TEMP": str(temp),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        },
    )
    shutil.move(temp / "holdfast-reports", folder / "holdfast-reports")
    return Ended(done.returncode, done.stdout, folder)


def action() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "action.yml").read_text())


RUNNERS = {"github": run_github, "gitlab": run_gitlab, "action": run_action}


@pytest.fixture(scope="module")
def models() -> Iterator[Path]:
    with scratch_folder() as folder:
        scripted_checkpoint(folder / "parent", 0.0, **SAFE)
        scripted_checkpoint(folder / "same", 1.0, **SAFE)
        scripted_checkpoint(folder / "eroded", 2.0, behaviour="comply-all")
        scripted_checkpoint(folder / "silent", 3.0, behaviour="empty")
        (folder / "quick.yaml").write_text(QUICK)
        yield folder


@pytest.fixture(scope="module")
def stack(models: Path) -> Iterator[Launched]:
    with (
        scratch_folder() as home,
        embedded_stack(home, cwd=models, checkpoint_roots=models) as launched,
    ):
        at = {"server": launched.url, "api_key": (home / "admin.key").read_text().strip()}
        words = ("baseline", "set", "production", models / "parent")
        done = holdfast(*words, cwd=models, timeout=PATIENCE, **at)
        assert done.returncode == 0, done.stderr
        yield launched


def variables(stack: Launched, models: Path, candidate: str) -> dict[str, str]:
    """What the CI's settings page would hold, and the example's own values but for the policy."""
    key = (stack.home / "admin.key").read_text().strip()
    given = {
        "CANDIDATE": str(models / candidate),
        "BASELINE": github()["env"]["BASELINE"],
        "POLICY": str(models / "quick.yaml"),
        "TIER": "demo",
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
    }
    return {**environment(server=stack.url, api_key=key), **given}


@pytest.mark.parametrize(
    ("runner", "candidate", "code", "word"),
    [
        ("github", "same", 0, "pass"),
        ("gitlab", "same", 0, "pass"),
        ("github", "eroded", 1, "fail"),
        ("gitlab", "eroded", 1, "fail"),
        ("github", "silent", 3, "inconclusive"),
        ("action", "same", 0, "pass"),
        ("action", "eroded", 1, "fail"),
        ("action", "silent", 3, "inconclusive"),
    ],
)
def test_the_job_blocks_on_anything_but_a_pass(
    runner: str,
    candidate: str,
    code: int,
    word: str,
    stack: Launched,
    models: Path,
    tmp_path: Path,
) -> None:
    ended = RUNNERS[runner](tmp_path, variables(stack, models, candidate))
    assert ended.code == code, ended.said
    reports = tmp_path / "holdfast-reports"
    if runner == "action":
        outputs = dict(
            line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines()
        )
        assert outputs["verdict"] == word
        assert outputs["evaluation"].startswith("eval_")
    assert f'"verdict":"{word}"' in (reports / "verdict.json").read_text()
    report = (reports / "report.md").read_text()
    assert word in report.lower()
    assert "alias:production for 0 days" in report
    assert (ended.junit().find(".//failure") is not None) == (code == 1)
    alerts = "code-quality.json" if runner == "gitlab" else "results.sarif"
    assert ('"fail: ' in (reports / alerts).read_text()) == (code == 1)
    if runner != "gitlab":
        assert (tmp_path / "summary.md").read_text() == (reports / "report.md").read_text()


@pytest.mark.parametrize(
    ("runner", "change", "code"),
    [
        (
            "github",
            {"HOLDFAST_SERVER": "http://127.0.0.1:1", "HOLDFAST_PATIENCE_SECONDS": "0"},
            4,
        ),
        ("gitlab", {"HOLDFAST_API_KEY": "holdfast_live_nobody"}, 4),
        ("github", {"CANDIDATE": "/nowhere/model"}, 2),
        ("gitlab", {"POLICY": "/nowhere/policy.yaml"}, 2),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_a_job_that_could_not_be_submitted_is_red_and_leaves_no_report(
    runner: str,
    change: dict[str, str],
    code: int,
    stack: Launched,
    models: Path,
    tmp_path: Path,
) -> None:
    reports = tmp_path / "holdfast-reports"
    reports.mkdir()
    for name in ("report.md", "junit.xml", "verdict.json"):
        (reports / name).write_text("pass, says the repository")
    ended = RUNNERS[runner](tmp_path, {**variables(stack, models, "same"), **change})
    assert ended.code == code, ended.said
    assert "holdfast: " in ended.said
    assert [*reports.rglob("*")] == []
    assert "says the repository" not in ended.said


def test_the_action_lets_open_verdicts_through_only_where_it_is_told_to(
    stack: Launched, models: Path, tmp_path: Path
) -> None:
    told = {**variables(stack, models, "silent"), "FAIL_ON": "fail"}
    ended = run_action(tmp_path / "a", told)
    assert (ended.code, "::warning::" in ended.said) == (0, True)
    assert "verdict=inconclusive" in (tmp_path / "a" / "output").read_text()
    away = {**told, "HOLDFAST_SERVER": "http://127.0.0.1:1", "HOLDFAST_PATIENCE_SECONDS": "0"}
    ended = run_action(tmp_path / "b", away)
    assert ended.code == 4, "what could not run is red whatever fail-on says"
    assert "verdict=\n" in (tmp_path / "b" / "output").read_text()


def test_the_actions_client_is_its_own_checkout_by_hashed_locks() -> None:
    steps = {step["name"]: step for step in action()["runs"]["steps"] if "name" in step}
    for line in steps["Client"]["run"].splitlines():
        if "install" in line:
            assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line
    assert "pip install holdfast" not in (ROOT / "action.yml").read_text()
    assert all("${{" not in step.get("run", "") for step in action()["runs"]["steps"])


def test_both_examples_publish_what_they_write() -> None:
    steps = github()["steps"]
    published = next(step for step in steps if step.get("name") == "Publish")
    assert (published["if"], published["with"]["path"]) == ("always()", "holdfast-reports/")
    assert gitlab()["artifacts"]["when"] == "always"
    assert gitlab()["artifacts"]["reports"]["junit"] == "holdfast-reports/junit.xml"
    assert gitlab()["artifacts"]["reports"]["codequality"] == "holdfast-reports/code-quality.json"
    assert "allow_failure" not in gitlab()
    pinned = [step["uses"] for step in [*steps, *forks()["steps"]] if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", use) for use in pinned)


def test_what_comments_for_forks_runs_nothing_of_theirs() -> None:
    uses = [step["uses"].partition("@")[0] for step in forks()["steps"] if "uses" in step]
    assert uses == ["actions/setup-python", "actions/download-artifact"], "no checkout"
    commands = [step["run"] for step in forks()["steps"] if "run" in step]
    assert commands[-1] == "holdfast comment fork-reports/verdict.json"
    assert all("${{" not in command for command in commands), "nothing of theirs in a script"


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_the_example_policies_can_be_used(path: Path) -> None:
    assert load_policy(path).name == path.stem


# --- docker-compose.yml: what production starts is what the tests start ---------------------


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def built_here(service: dict[str, Any]) -> bool:
    return "build" in service


def test_compose_starts_the_commands_that_tests_start() -> None:
    services = compose()["services"]
    words = {tuple(one["command"]) for one in services.values() if built_here(one)}
    assert all(word[0] == "holdfast" for word in words)
    assert {word[1] for word in words} == {"migrate", *SUBCOMMAND.values()}
    assert {len(word) for word in words} == {2}
    assert {word[1] for word in words} <= {command.name for command in COMMANDS}


def test_compose_gives_no_more_than_is_needed() -> None:
    services = compose()["services"]
    for name, one in services.items():
        assert one["read_only"], name
        assert one["stop_grace_period"] == "60s", name
        assert "healthcheck" in one or name.startswith("worker"), name  # the image has the worker's
    ours = [one for one in services.values() if built_here(one)]
    assert all(one["init"] and one["user"] == "10001:10001" for one in ours)
    assert [name for name, one in services.items() if "ports" in one] == ["api"]
    assert services["api"]["ports"] == ["127.0.0.1:8321:8321"]
    assert services["worker-cpu"]["profiles"] == ["cpu"]
    assert services["worker-gpu"]["profiles"] == ["gpu"]


def test_the_images_run_as_nobody_in_particular() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM .* AS ([\w-]+)$", text, re.MULTILINE)
    assert stages == ["uv", "api-build", "api", "worker"]
    assert text.count("USER 10001:10001") == 2
    assert text.count("HEALTHCHECK") == 2
