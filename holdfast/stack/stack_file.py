"""`stack.json`: how a data folder's running stack is reached, and which processes it consists of.

Written anew whenever a child is started. A process is known by its id and its birth, because ids
are used again; so what a killed launcher left behind can be ended without touching anything else.
Where there is no /proc, nothing is recognised, and so nothing is ended.
"""

import fcntl
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import Conflict

log = logging.getLogger(__name__)

STEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where the API of a data folder listens, and who serves it: pid and birth by name."""

    url: str
    launcher: int
    children: dict[str, tuple[int, str | None]]


def key_file(home: Path) -> Path:
    """Where the first admin key of a data folder lies, mode 0600."""
    return home / "admin.key"


def write(home: Path, url: str, pids: dict[str, int]) -> None:
    """Announce a stack, atomically."""
    children = {name: (pid, birth(pid)) for name, pid in pids.items()}
    document = {"url": url, "launcher": os.getpid(), "children": children}
    draft = home / "stack.json.draft"
    draft.write_text(json.dumps(document))
    draft.replace(_file(home))


def read(home: Path) -> Announcement | None:
    """How to reach the stack of a data folder; None when none is announced there."""
    try:
        document = json.loads(_file(home).read_text())
    except FileNotFoundError:
        return None
    children = {name: (pid, born) for name, (pid, born) in document["children"].items()}
    return Announcement(document["url"], document["launcher"], children)


def remove(home: Path) -> None:
    """Take the announcement back."""
    _file(home).unlink(missing_ok=True)


@contextmanager
def only_launcher(home: Path) -> Iterator[None]:
    """Hold the data folder; Conflict when another launcher does. The kernel frees it at a kill."""
    with (home / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            announcement = read(home)
            place = f"at {announcement.url}" if announcement else "still starting"
            raise Conflict(
                f"a stack runs in {home} already, {place}; use that one, stop it, "
                "or set HOLDFAST_HOME to another folder"
            ) from None
        yield


def end_leftovers(home: Path, grace: float) -> None:
    """End what a killed launcher left behind: TERM, `grace` seconds, then KILL of its sessions.

    The broker is ended after the others: a worker that has lost it cannot hand its job over.
    """
    announcement = read(home)
    if announcement is None:
        return
    leftovers = {
        name: (pid, born)
        for name, (pid, born) in announcement.children.items()
        if born and birth(pid) == born
    }
    broker = [leftovers.pop(name) for name in ("redis",) if name in leftovers]
    for processes in (list(leftovers.values()), broker):
        sessions = {
            pid: born for leader, _ in processes for pid, born in session_of(leader).items()
        }
        for pid, _ in processes:
            log.warning("ending process %d, left behind by launcher %d", pid, announcement.launcher)
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while any(birth(pid) == born for pid, born in processes) and time.monotonic() < deadline:
            time.sleep(STEP_SECONDS)
        kill_those(sessions)
    remove(home)


def session_of(leader: int) -> dict[int, str]:
    """The live processes of a session, with their births."""
    births = {}
    for entry in Path("/proc").glob("[0-9]*"):
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
    """When a live process was started, in clock ticks since boot; None when it is gone."""
    fields = _fields(pid)
    return None if fields is None else fields[19]


def _fields(pid: int) -> list[str] | None:
    """proc(5) stat from field 3 (state) on; None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields


def _file(home: Path) -> Path:
    return home / "stack.json"
