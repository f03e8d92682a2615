"""The engine's process tree: a guarded runner, and our ends of the pipes to it.

All trees of a data folder share one log, so each one knows where its own part begins.
"""

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from holdfast.errors import EngineFailed, MachineUnfit, Unreachable
from holdfast.settings import Settings
from workers.children.guarded import GuardedChild, Needs, release, start_guarded
from workers.children.last_words import telling_line
from workers.children.progress import STALLED_SECONDS
from workers.children.walls.showing import named_as_outside
from workers.children.wire import receive, send

RUNNER = "workers.children.runner"
GUARD_SECONDS = 10.0  # that a guard may take to end the rest of its session


@dataclass(frozen=True, slots=True)
class Tree:
    """A guarded runner and the pipe that its requests go through."""

    runner: GuardedChild
    requests: IO[str]
    ended: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)


def start_tree(
    settings: Settings,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    reads: Sequence[Path] = (),
) -> Tree:
    """Start guard and runner in a session of their own, inside the data folder.

    `reads` are folders that the runner may read beside the checkpoint roots.
    """
    requests_end, requests = os.pipe()
    try:
        runner = start_guarded(
            settings,
            RUNNER,
            arguments,
            requests=requests_end,
            log=settings.home / "log" / "engine.log",
            needs=Needs(environment, reads=tuple(reads)),
        )
    except (MachineUnfit, Unreachable):
        os.close(requests)
        raise
    release(runner)
    return Tree(runner, os.fdopen(requests, "w", encoding="utf-8"))


def exchange(tree: Tree, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request, if there is one, and read the next line; EngineFailed says why none came."""
    try:
        if request:
            send(tree.requests, request)
        line = receive(tree.runner.answers)
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
            tree.runner.guard.wait(timeout=GUARD_SECONDS)
        words = telling_line(tree.runner.log, tree.runner.log_start) or "it said nothing"
        reason = named_as_outside(tree.runner.inside, words)
    return f"{reason}; its log is {tree.runner.log}"


def close_pipes(tree: Tree) -> None:
    """Close our ends of the pipes that are talked through."""
    with suppress(BrokenPipeError):  # a request that was never read
        tree.requests.close()
    tree.runner.answers.close()
