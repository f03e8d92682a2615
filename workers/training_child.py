"""The training child: `python -m training plan.json` under a guard, its progress on our pipe.

Another process, because GPU memory dies with it, and because a repair must be something that a
person can run again by hand. Under the guard, because a killed worker must not leave it behind.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.errors import InvalidPlan, TrainingFailed
from holdfast.settings import Settings
from workers.guard import end_session, guarded

BAD_INPUT = 65  # EX_DATAERR: the plan or its data cannot be used, and a retry will not help


class TrainingChild:
    """At most one child at a time; `kill` may be called from another thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None

    def run(self, plan: Path) -> Iterator[dict[str, Any]]:
        """Yield the child's progress lines until it is done; raises what ended it otherwise."""
        log = self._settings.home / "log" / f"{plan.parent.name}.training.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "training", str(plan)]
        last: dict[str, Any] = {}
        with (
            log.open("ab") as errors,
            guarded(command, home=self._settings.home, cwd=plan.parent, stderr=errors) as process,
        ):
            self._process = process
            for line in process.stdout or ():
                last = json.loads(line)
                yield last
            code = process.wait()
        self._process = None
        if code != 0 or last.get("event") != "done":
            raise failure(code, last, log)

    def kill(self) -> None:
        """End the child and everything it started, at once."""
        if self._process is not None:
            end_session(self._process.pid)


def failure(code: int, last: dict[str, Any], log: Path) -> InvalidPlan | TrainingFailed:
    """What the child's end means: its own sentence where it had time to say one."""
    said = (
        f"{last['error']}: {last['detail']}" if last.get("event") == "error" else "no reason given"
    )
    kind = InvalidPlan if code == BAD_INPUT else TrainingFailed
    return kind(f"training ended with exit code {code} ({said}); see {log.name}")
