"""A process under a guard: started in a session of its own, inside the data folder, and on record.

The guard ends everything in the session when our end of its `life` pipe closes, however that comes
about. The child's output goes to the end of a log; what it says for us comes through `answers`.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workers.children.guard import end_session
from workers.children.sessions import forget_session, record_session


@dataclass(frozen=True, slots=True)
class GuardedChild:
    """A started guard, our ends of the pipes to it, and where its child's part of the log begins.

    Closing `life` ends the session.
    """

    home: Path
    guard: subprocess.Popen[bytes]
    life: int
    answers: IO[str]
    log: Path
    log_start: int


def start_guarded(
    home: Path,
    module: str,
    arguments: Sequence[str],
    *,
    requests: int,
    log: Path,
    environment: Mapping[str, str],
) -> GuardedChild:
    """Start `python -m module` under a guard; `requests` is its standard input, and closed here."""
    run = home / "run"
    run.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    (life_end, life), (answers, answers_end) = os.pipe(), os.pipe()
    guard = (sys.executable, "-m", "workers.children.guard", str(requests), str(answers_end))
    with log.open("ab") as output:
        log_start = output.tell()
        started = subprocess.Popen(
            [*guard, sys.executable, "-m", module, *arguments],
            stdin=life_end,
            stdout=output,
            stderr=output,
            pass_fds=(requests, answers_end),
            start_new_session=True,
            cwd=run,
            env=dict(environment),
        )
    for end in (life_end, requests, answers_end):
        os.close(end)
    record_session(home, started.pid)
    return GuardedChild(home, started, life, os.fdopen(answers, encoding="utf-8"), log, log_start)


def end_guarded(child: GuardedChild) -> None:
    """End the session at once, and return when nobody of it is left. Leaves `answers` open."""
    end_session(child.guard.pid, grace=0.0)
    child.guard.wait()
    os.close(child.life)
    forget_session(child.home, child.guard.pid)
