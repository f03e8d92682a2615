"""The scratch folder of one child: its temporary files, and the folder of what it is shown.

It goes with the child. A lock that the guard inherits says that it is in use; guards can be killed
too, so whoever makes the next one removes those that nobody holds any more.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.children.walls.places import TEMPORARY

PREFIX = "holdfast-child-"  # short, since libraries put sockets there


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder of one child's own, and the descriptor of the lock that says it is in use."""

    path: Path
    lock: int


def new_scratch() -> Scratch:
    """Make the folder of a child, and remove those that nobody holds any more."""
    for leftover in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is held, another user's, or was just removed
            descriptor = _lock(leftover)
            shutil.rmtree(leftover, ignore_errors=True)
            os.close(descriptor)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(OSError):  # another worker swept it before it was locked
            descriptor = _lock(folder)
            (folder / TEMPORARY).mkdir()
            return Scratch(folder, descriptor)


def _lock(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder} is another user's")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
