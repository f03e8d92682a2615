"""Processes by id and birth, since ids are used again: which live, which are a data folder's.

Where there is no /proc nothing is recognised, and so nothing is ended.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def session_of(leader: int) -> dict[int, str]:
    """The live processes of a session, with their births."""
    births = {}
    for entry in PROC.glob("[0-9]*"):
        fields = _fields(int(entry.name))
        if fields is not None and fields[3] == str(leader):
            births[int(entry.name)] = fields[19]
    return births


def kill_those(processes: dict[int, str]) -> None:
    """KILL each process that is still the one it was."""
    for pid, born in processes.items():
        if birth(pid) == born:
            with suppress(ProcessLookupError):  # it ended between the look and the kill
                os.kill(pid, signal.SIGKILL)


def birth(pid: int) -> str | None:
    """When a live process was started, in clock ticks since boot; None when it has ended."""
    fields = _fields(pid)
    return None if fields is None else fields[19]


def works_in(folder: Path, pid: int, born: str | None) -> bool:
    """Whether a process is still the one of that birth, is our user's, and works in the folder."""
    if born is None or birth(pid) != born:
        return False
    try:
        owner = (PROC / str(pid)).stat().st_uid
        place = (PROC / str(pid) / "cwd").readlink()
    except OSError:  # it ended, or is somebody else's
        return False
    return owner == os.geteuid() and place.is_relative_to(folder.resolve())


def _fields(pid: int) -> list[str] | None:
    """proc(5) stat from field 3 (state) on; None for a process that has ended, or a zombie."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields
