"""Processor time of commands beside that of b196b6b: `make bench-start`.

Both versions run in an environment of their own, that commit's in a worktree under build/, made
once. Each has its own embedded stack with an evaluation that the scripted engine played. A round
runs a command in one version and then in the other; printed are medians and their ratio.
"""

import os
import resource
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.cli.canaries import write_canaries

ROOT = Path(__file__).resolve().parent.parent
BEFORE = "b196b6b"
WORKTREE = ROOT / "build" / BEFORE
ROUNDS = 7
BARS = {"alone": 1 / 8, "client": 1 / 4}
POLICY = """\
version: 1
name: start
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
ALONE = (("--help",), ("--version",), ("submit",), ("no-such-command",))


@dataclass(frozen=True, slots=True)
class Version:
    """One of the two: its command, and the environment that names its stack."""

    command: Path
    environment: Mapping[str, str]

    def cpu_seconds(self, words: tuple[str, ...]) -> float:
        """User and system time of one run; what it prints is dropped."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [self.command, *words],
            env=dict(self.environment),
            cwd=self.environment["HOLDFAST_HOME"],
            capture_output=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def old_command() -> Path:
    """`holdfast` of the older commit, in an environment from that commit's locks."""
    if not WORKTREE.is_dir():
        subprocess.run(
            ["git", "worktree", "add", "--quiet", WORKTREE, BEFORE], cwd=ROOT, check=True
        )
    subprocess.run(["make", "setup"], cwd=WORKTREE, check=True)
    return WORKTREE / ".venv" / "bin" / "holdfast"


@contextmanager
def with_stack(command: Path) -> Iterator[tuple[Version, str]]:
    """A version whose stack runs and has judged one evaluation, and that evaluation's id."""
    with TemporaryDirectory(prefix="start-") as scratch:
        home = Path(scratch)
        models = home / "models"
        write_canaries(models)
        (home / "policy.yaml").write_text(POLICY)
        plain = {name: value for name, value in os.environ.items() if "HOLDFAST" not in name}
        environment = plain | {
            "HOLDFAST_HOME": scratch,
            "HOLDFAST_ENGINE": "scripted",
            "HOLDFAST_CHECKPOINT_ROOTS": str(models),
        }
        version = Version(command, environment)
        stack = subprocess.Popen(
            [command, "up", "--port", "0", "--json"],
            env=environment,
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            until_it_listens(stack)
            done = subprocess.run(
                [command, *submit(models), "--json"],
                env=environment,
                cwd=scratch,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode not in {0, 1, 3}:
                raise SystemExit(f"{command} submit ended with {done.returncode}: {done.stderr}")
            yield version, latest(version)
        finally:
            stack.terminate()
            stack.wait(120)


def until_it_listens(stack: subprocess.Popen[str]) -> None:
    """Read what a stack announces, to its end."""
    lines = iter(stack.stdout or ())
    if not any(line == "}\n" for line in lines):
        raise SystemExit(f"holdfast up ended with {stack.wait()}")


def submit(models: Path) -> tuple[str, ...]:
    """The words that submit a canary whose verdict is known."""
    aligned = str(models / "aligned")
    policy = str(models.parent / "policy.yaml")
    return ("submit", aligned, "--baseline", aligned, "--policy", policy, "--tier", "demo")


def latest(version: Version) -> str:
    """The id of the evaluation in the database."""
    file = Path(version.environment["HOLDFAST_HOME"]) / "holdfast.db"
    ((found,),) = sqlite3.connect(file).execute("select id from evaluations").fetchall()
    return str(found)


def ratio(
    versions: tuple[Version, Version], words: tuple[tuple[str, ...], ...], bar: float
) -> None:
    """A line of medians; each version has its own words, since ids differ."""
    pairs = [
        tuple(version.cpu_seconds(own) for version, own in zip(versions, words, strict=True))
        for _ in range(ROUNDS)
    ]
    before, now = (statistics.median(times) for times in zip(*pairs, strict=True))
    name = " ".join(words[1][:2]) if words[1][0] == "keys" else words[1][0]
    found = statistics.median(new / old for old, new in pairs)
    told = "reached" if found <= bar else "MISSED"
    print(f"{name:<16} {before:6.2f} s {now:6.2f} s   {found:5.3f}  (at most {bar:.3f}: {told})")


def main() -> None:
    """All commands, first those that need no server."""
    print(f"processor time, medians of {ROUNDS} alternating rounds: {BEFORE}, now, ratio")
    with (
        with_stack(old_command()) as (old, old_id),
        with_stack(Path(sys.executable).with_name("holdfast")) as (new, new_id),
    ):
        for words in ALONE:
            ratio((old, new), (words, words), BARS["alone"])
        for verb in ("verdict", "wait"):
            ratio((old, new), ((verb, old_id), (verb, new_id)), BARS["client"])
        ratio((old, new), (("keys", "list"), ("keys", "list")), BARS["client"])
        homes = [Path(one.environment["HOLDFAST_HOME"]) / "models" for one in (old, new)]
        submits = tuple((*submit(models), "--no-wait") for models in homes)
        ratio((old, new), submits, BARS["client"])


if __name__ == "__main__":
    main()
