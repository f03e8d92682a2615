"""A process tree that computes: guard, runner, and our ends of the pipes to them.

Its output goes to the end of a log that all trees of a data folder share, so each one knows where
its own part begins.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from holdfast.errors import EngineFailed
from workers.children.last_words import telling_line
from workers.children.progress import STALLED_SECONDS
from workers.children.wire import receive, send

RUNNER = "workers.children.runner"
GUARD_SECONDS = 10.0  # that a guard may take to end the rest of its session


@dataclass(frozen=True, slots=True)
class Tree:
    """A started guard, and our ends of the three pipes; closing `life` ends the tree."""

    guard: subprocess.Popen[bytes]
    life: int
    requests: IO[str]
    answers: IO[str]
    log: Path
    log_start: int
    ended: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)


def start_tree(home: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Tree:
    """Start guard and runner in a session of their own, inside the data folder."""
    run, log = home / "run", home / "log" / "engine.log"
    run.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    (life_end, life), (requests_end, requests), (answers, answers_end) = (
        os.pipe(),
        os.pipe(),
        os.pipe(),
    )
    guard = (sys.executable, "-m", "workers.children.guard", str(requests_end), str(answers_end))
    with log.open("ab") as output:
        log_start = output.tell()
        started = subprocess.Popen(
            [*guard, sys.executable, "-m", RUNNER, *arguments],
            stdin=life_end,
            stdout=output,
            stderr=output,
            pass_fds=(requests_end, answers_end),
            start_new_session=True,
            cwd=run,
            env=dict(environment),
        )
    for end in (life_end, requests_end, answers_end):
        os.close(end)
    return Tree(
        guard=started,
        life=life,
        requests=os.fdopen(requests, "w", encoding="utf-8"),
        answers=os.fdopen(answers, encoding="utf-8"),
        log=log,
        log_start=log_start,
    )


def exchange(tree: Tree, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request, if there is one, and read the next line; EngineFailed says why none came."""
    try:
        if request:
            send(tree.requests, request)
        line = receive(tree.answers)
    except BrokenPipeError:
        line = None
    if line is None:
        raise EngineFailed(f"the engine's process ended in mid-call: {_why(tree)}")
    return line


def _why(tree: Tree) -> str:
    if tree.stalled.is_set():
        reason = (
            f"it neither answered nor computed for {STALLED_SECONDS / 60:.0f} minutes, so it was "
            "ended"
        )
    else:
        with suppress(subprocess.TimeoutExpired):  # the guard writes by which signal it ended
            tree.guard.wait(timeout=GUARD_SECONDS)
        reason = telling_line(tree.log, tree.log_start) or "it said nothing"
    return f"{reason}; its log is {tree.log}"


def close_pipes(tree: Tree) -> None:
    """Close our ends of the pipes that are talked through."""
    with suppress(BrokenPipeError):  # a request that was never read
        tree.requests.close()
    tree.answers.close()
