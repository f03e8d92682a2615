"""The guard: leads a session of its own and leaves nobody in it alive.

    python -m workers.children.guard REQUESTS ANSWERS COMMAND...   (two inherited file descriptors)

Inference libraries start processes of their own that outlive a killed parent and keep the device's
memory (vLLM does, on GPU and CPU). A parent's death signal does not reach grandchildren, and an
environment variable as a mark is overwritten by them; the session id is kept by all. So the guard
starts the runner in its session and waits on a pipe that its supervisor holds and never writes to:
when that ends, however the supervisor ended, or the runner exits, everything in the session goes.
"""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_SECONDS = 3.0
POLL_SECONDS = 0.05


def main(requests: int, answers: int, command: list[str]) -> None:
    """Run `command` until it exits or standard input ends; then end the session."""
    runner = subprocess.Popen(command, stdin=requests, stdout=answers)
    os.close(requests)
    os.close(answers)
    exited = os.pidfd_open(runner.pid)
    select.select([sys.stdin.fileno(), exited], [], [])
    if (code := runner.poll()) is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ", as the kernel does where memory runs out" if name == "SIGKILL" else ""
        sys.stderr.write(f"guard: a {name} ended it{hint}\n")
        sys.stderr.flush()
    end_session(os.getsid(0), GRACE_SECONDS)


def end_session(session: int, grace: float) -> None:
    """Ask every other process of a session to stop, and after `grace` seconds make it."""
    deadline = time.monotonic() + grace
    for pid in session_members(session):
        _signal(pid, signal.SIGTERM)
    while members := session_members(session):
        if time.monotonic() >= deadline:
            for pid in members:
                _signal(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def session_members(session: int) -> list[int]:
    """Processes of a session but ourselves; the dead that nobody has buried yet do not count."""
    return [
        pid
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        if pid != os.getpid() and (stat := process_stat(pid)) and stat[3] == str(session)
        if stat[0] not in {"Z", "X"}
    ]


def process_stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third (state) on; None where there is no process."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return line.rpartition(")")[2].split()  # the name before it may hold anything


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it went by itself


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
