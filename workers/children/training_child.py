"""The training child: `python -m training plan.json` under a guard, its progress on our pipe.

Another process, because a device's memory dies with it, and because a repair must be something that
a person can run again by hand. Under the guard, because a killed worker must not leave it behind.
How it ended is what it said last: `done`, or `error` with the name of the error.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from holdfast.errors import ERRORS, CallerError, HoldfastError, MachineUnfit, TrainingFailed
from holdfast.settings import Settings
from workers.children.dtype import dtype_of
from workers.children.environment import runner_environment
from workers.children.guard import end_session
from workers.children.last_words import telling_line
from workers.children.sessions import forget_session, record_session


class TrainingChild:
    """The child that trains, at most one at a time; `kill` may be called from another thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = settings.home
        self._guard: subprocess.Popen[bytes] | None = None

    def run(self, plan: Path, module: str = "training") -> Generator[dict[str, Any]]:
        """Yield the child's progress until it is done; raises its own error, or TrainingFailed.

        `module` is what reads the plan: `training`, or another that speaks as it does.

        Close it to end the child early.
        """
        log = self._home / "log" / f"{plan.parent.name}.training.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log_start = log.stat().st_size if log.exists() else 0
        last: dict[str, Any] = {}
        life_end, life = os.pipe()
        answers, answers_end = os.pipe()
        try:
            self._start(plan, module, log, life_end, answers_end)
            with os.fdopen(answers, encoding="utf-8") as lines:
                for line in lines:
                    last = json.loads(line)
                    yield last
        finally:
            os.close(life)  # the guard ends whatever is left
            self._forget()
        if last.get("event") != "done":
            raise failure(last, log, log_start)

    def kill(self) -> None:
        """End the child and everything it started, at once."""
        guard = self._guard
        if guard is not None:
            end_session(guard.pid, grace=0.0)

    def _start(self, plan: Path, module: str, log: Path, life_end: int, answers_end: int) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        guard = (sys.executable, "-m", "workers.children.guard", str(nothing), str(answers_end))
        (self._home / "run").mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            started = subprocess.Popen(
                [*guard, sys.executable, "-m", module, str(plan)],
                stdin=life_end,
                stdout=output,
                stderr=output,
                pass_fds=(nothing, answers_end),
                start_new_session=True,
                cwd=self._home / "run",
                env=runner_environment(
                    self._home, os.environ, {"HOLDFAST_DTYPE": dtype_of(self._settings)}
                ),
            )
        for end in (life_end, answers_end, nothing):
            os.close(end)
        self._guard = started
        record_session(self._home, started.pid)

    def _forget(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            end_session(guard.pid, grace=0.0)
            guard.wait()
            forget_session(self._home, guard.pid)


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
