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

from holdfast.errors import ERRORS, CallerError, HoldfastError, MachineUnfit, TrainingFailed
from holdfast.settings import Settings
from workers.children.dtype import dtype_of
from workers.children.environment import runner_environment
from workers.children.guard import end_session
from workers.children.guarded import GuardedChild, end_guarded, start_guarded
from workers.children.last_words import telling_line


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
        child = start_guarded(
            self._home,
            module,
            [str(plan)],
            requests=os.open(os.devnull, os.O_RDONLY),
            log=self._home / "log" / f"{plan.parent.name}.training.log",
            environment=runner_environment(self._home, os.environ, environment),
        )
        self._child = child
        last: dict[str, Any] = {}
        try:
            with child.answers as lines:
                for line in lines:
                    last = json.loads(line)
                    yield last
        finally:
            self._child = None
            end_guarded(child)
        if last.get("event") != "done":
            raise failure(last, child.log, child.log_start)

    def kill(self) -> None:
        """End the child and everything it started, at once."""
        child = self._child
        if child is not None:
            end_session(child.guard.pid, grace=0.0)


def failure(last: dict[str, Any], log: Path, log_start: int = 0) -> HoldfastError:
    """The error that the child ended with: its own if it is the plan's or the data's.

    One that said none may have written why to its log, from byte `log_start` on.
    """
    if last.get("event") != "error":
        last_error = telling_line(log, log_start) if log.exists() else ""
        why = f": {last_error}" if last_error else ""
        return TrainingFailed(f"training ended without a word{why}; its log is {log}")
    kind = ERRORS.get(last["error"])
    if kind is not None and issubclass(kind, CallerError | MachineUnfit | TrainingFailed):
        return kind(last["detail"])
    return TrainingFailed(f"{last['error']}: {last['detail']}; the log is {log}")
