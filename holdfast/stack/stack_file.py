"""`stack.json`: how a data folder's running stack is reached, and which processes it consists of.

Written anew whenever a child is started. It is believed only where nobody but this user can have
written it, where it names this machine, and where the API's process is the one that was recorded:
a repository may hold a file of that name. What a killed launcher left behind is ended by process
id, birth and working folder, without touching anything else.
"""

import errno
import fcntl
import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.errors import Conflict, InvalidSettings, Unreachable, first_problem
from holdfast.stack.private_files import ADVICE, READABLE, WRITABLE, read_private
from holdfast.stack.processes import PROC, birth, kill_those, session_of, works_in

log = logging.getLogger(__name__)

STEP_SECONDS = 0.05
LOCAL_URL = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}", re.ASCII)

ProcessId = Annotated[int, Field(gt=0)]


class Announcement(BaseModel):
    """Where the API of a data folder listens, and who serves it: pid and birth by name."""

    model_config = ConfigDict(frozen=True, strict=True)

    url: str
    launcher: ProcessId
    children: dict[str, tuple[ProcessId, str | None]]


def key_file(home: Path) -> Path:
    """Where the first admin key of a data folder lies, mode 0600."""
    return home / "admin.key"


def read_key(home: Path) -> str | None:
    """The admin key of a data folder; None where there is none.

    Raises InvalidSettings where others can read it, or can have put it there.
    """
    text = read_private(key_file(home), READABLE)
    return None if text is None else text.strip()


def write(home: Path, url: str, pids: dict[str, int]) -> None:
    """Announce a stack, atomically."""
    children = {name: (pid, birth(pid)) for name, pid in pids.items()}
    document = {"url": url, "launcher": os.getpid(), "children": children}
    draft = home / "stack.json.draft"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(document))
    draft.replace(_file(home))


def read(home: Path) -> Announcement | None:
    """The announcement in a data folder, whether it is still true or not; None when there is none.

    Raises InvalidSettings for one that somebody else may have written, or that leads elsewhere.
    """
    text = read_private(_file(home), WRITABLE)
    if text is None:
        return None
    try:
        announcement = Announcement.model_validate_json(text)
    except ValidationError as error:
        problem = first_problem(error, "the document")
        raise InvalidSettings(f"{_file(home)} is no stack's: {problem}; {ADVICE}") from error
    if not LOCAL_URL.fullmatch(announcement.url):
        raise InvalidSettings(
            f"{_file(home)} names {announcement.url!r:.200}, expected http://127.0.0.1:PORT, "
            f"localhost or [::1]: no file leads to another machine; {ADVICE}"
        )
    return announcement


def running(home: Path) -> Announcement | None:
    """The announcement of the stack that runs in a data folder; None when there is none.

    Raises Unreachable where there is one and its API does not run (any more, or yet).
    """
    announcement = read(home)
    if announcement is None or _api_runs(home, announcement):
        return announcement
    raise Unreachable(
        f"no server: {_file(home)} names a stack at {announcement.url}, and no process of this "
        "user's and folder's serves it; if it is just starting, try again, else start one with "
        "`holdfast up`, or set HOLDFAST_SERVER to a URL"
    )


def remove(home: Path) -> None:
    """Take the announcement back."""
    _file(home).unlink(missing_ok=True)


@contextmanager
def only_launcher(home: Path) -> Iterator[None]:
    """Hold the data folder; Conflict when another launcher does. The kernel frees it at a kill."""
    descriptor = _open_lock(home, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        announcement = read(home)
        place = f"at {announcement.url}" if announcement else "still starting"
        raise Conflict(
            f"a stack runs in {home} already, {place}; use that one, stop it, "
            "or set HOLDFAST_HOME to another folder"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


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
        if born and works_in(home, pid, born)
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


def launcher_lives(home: Path) -> bool:
    """Whether some process holds the data folder as its launcher does."""
    try:
        descriptor = _open_lock(home, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _api_runs(home: Path, announcement: Announcement) -> bool:
    if not PROC.is_dir():  # no process is recognised here, but no checked-out file holds a lock
        return launcher_lives(home)
    api = announcement.children.get("api")
    return api is not None and works_in(home, *api)


def _open_lock(home: Path, flags: int) -> int:
    try:
        return os.open(home / "stack.lock", flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InvalidSettings(f"{home / 'stack.lock'} is a link; {ADVICE}") from error


def _file(home: Path) -> Path:
    return home / "stack.json"
