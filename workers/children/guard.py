"""The guard: leads a session of its own and leaves nobody in it alive.

    python -m workers.children.guard REQUESTS ANSWERS CHANNEL SCRATCH COMMAND...
                          (three inherited descriptors, CHANNEL being - without walls; a folder)

Inference libraries start processes of their own that outlive a killed parent and keep the device's
memory (vLLM does, on GPU and CPU). A parent's death signal does not reach grandchildren, and an
environment variable as a mark is overwritten by them; the session id is kept by all. So the guard
starts the runner in its session and waits on a pipe that its supervisor holds and never writes to:
when that ends, however the supervisor ended, or the runner exits, everything in the session goes.
The guard itself stays outside the walls that the runner is started behind, and removes the folder
that was the session's own.
"""

import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

from workers.children.walls.keeper import wall_in

GRACE_SECONDS = 3.0
POLL_SECONDS = 0.05


def main(requests: int, answers: int, channel: socket.socket | None, command: list[str]) -> None:
    """Run `command` until it exits or standard input ends; then end the session."""
    runner = start(requests, answers, channel, command)
    os.close(requests)
    os.close(answers)
    if channel is not None:
        channel.close()
    exited = os.pidfd_open(runner)
    select.select([sys.stdin.fileno(), exited], [], [])
    ended, status = os.waitpid(runner, os.WNOHANG)
    if ended and (code := os.waitstatus_to_exitcode(status)) < 0:
        name = signal.Signals(-code).name
        hint = ", as the kernel does where memory runs out" if name == "SIGKILL" else ""
        sys.stderr.write(f"guard: a {name} ended it{hint}\n")
        sys.stderr.flush()
    end_session(os.getsid(0), GRACE_SECONDS)


def start(requests: int, answers: int, channel: socket.socket | None, command: list[str]) -> int:
    """Start `command` on these pipes, behind walls where there is a channel; returns its process.

    An error on the way there is the new process's, which ends by it.
    """
    pid = os.fork()
    if pid == 0:
        for pipe, number in ((requests, 0), (answers, 1)):
            os.dup2(pipe, number)
            os.close(pipe)
        if channel is not None:
            channel.set_inheritable(False)
            wall_in(channel, os.environ)
        os.execv(command[0], command)  # noqa: S606  # the supervisor's words, and no shell's
    return pid


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
    walled = None if sys.argv[3] == "-" else socket.socket(fileno=int(sys.argv[3]))
    main(int(sys.argv[1]), int(sys.argv[2]), walled, sys.argv[5:])
    shutil.rmtree(sys.argv[4], ignore_errors=True)
