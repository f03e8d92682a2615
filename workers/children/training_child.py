"""The training child: `python -m training plan.json` under a guard, its progress on our pipe.

Another process, because a device's memory dies with it, and because a repair must be something that
a person can run again by hand. Under the guard, because a killed worker must not leave it behind.
How it ended is what it said last: `done`, or `error` with the name of the error.
"""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from holdfast.checkpoints.view_paths import digest_of_view
from holdfast.errors import (
    ERRORS,
    CallerError,
    DiskFull,
    HoldfastError,
    MachineUnfit,
    TrainingFailed,
)
from holdfast.settings import Settings
from workers.children.dtype import dtype_of
from workers.children.environment import runner_environment
from workers.children.guard import end_session
from workers.children.guarded import (
    GuardedChild,
    Needs,
    end_guarded,
    release,
    start_guarded,
)
from workers.children.last_words import telling_line
from workers.children.progress import Watched
from workers.children.walls.showing import named_as_outside, show

WRITES = ("work", "checkpoints", "merged")  # state, repairs, and adapters with their bases


class TrainingChild:
    """The child that trains, at most one at a time; `kill` may be called from another thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = settings.home
        self._child: GuardedChild | None = None

    def run(self, plan: Path, module: str = "training") -> Generator[dict[str, Any]]:
        """Yield the child's progress until it is done; raises its own error, or TrainingFailed.

        `module` is what reads the plan: `training`, or another that speaks as it does.

        Close it to end the child early.
        """
        environment = {"HOLDFAST_DTYPE": dtype_of(self._settings)}
        needs = Needs(runner_environment(self._home, os.environ, environment), WRITES)
        child = start_guarded(
            self._settings,
            module,
            [str(needs.scratch.path / plan.name)],
            requests=os.open(os.devnull, os.O_RDONLY),
            log=self._home / "log" / f"{plan.parent.name}.training.log",
            needs=needs,
        )
        self._child, watched = child, Watched(child.guard.pid)
        last: dict[str, Any] = {}
        try:
            with child.answers as lines, watched:
                show_plan(child, plan)
                release(child)
                while line := watched.waiting(lines.readline):
                    last = json.loads(line)
                    yield last
        finally:
            self._child = None
            end_guarded(child)
        if watched.stalled:
            raise TrainingFailed(f"{watched.why}; its log is {child.log}")
        if last.get("event") != "done":
            error = failure(last, child.log, child.log_start)
            raise type(error)(named_as_outside(child.inside, str(error)))

    def kill(self) -> None:
        """End the child and everything it started, at once."""
        child = self._child
        if child is not None:
            end_session(child.guard.pid, grace=0.0)


def show_plan(child: GuardedChild, plan: Path) -> None:
    """Write the plan for the child, in which staged views are where it can read them."""
    document = json.loads(plan.read_bytes())
    (child.scratch / plan.name).write_text(json.dumps(shown_in(child, document)), encoding="utf-8")


def shown_in(child: GuardedChild, document: Any) -> Any:
    """The same JSON with every path of a staged view as the child reads it."""
    match document:
        case dict():
            return {name: shown_in(child, value) for name, value in document.items()}
        case list():
            return [shown_in(child, value) for value in document]
        case str() if child.inside is not None and digest_of_view(Path(document)):
            return str(show(child.inside, Path(document)))
    return document


def failure(last: dict[str, Any], log: Path, log_start: int = 0) -> HoldfastError:
    """The error that the child ended with: its own if it is the plan's, the data's or the disk's.

    One that said none may have written why to its log, from byte `log_start` on.
    """
    if last.get("event") != "error":
        last_error = telling_line(log, log_start) if log.exists() else ""
        why = f": {last_error}" if last_error else ""
        return TrainingFailed(f"training ended without a word{why}; its log is {log}")
    kind = ERRORS.get(last["error"])
    if kind is not None and issubclass(
        kind, CallerError | DiskFull | MachineUnfit | TrainingFailed
    ):
        return kind(last["detail"])
    return TrainingFailed(f"{last['error']}: {last['detail']}; the log is {log}")
