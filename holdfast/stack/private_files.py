"""Files of the data folder that are believed only where nobody but this user can have written them.

A repository can hold a folder of the data folder's name with anything in it, and other users of a
machine can write where a folder lets them. So whose a file is, and who may write it, is looked at
on the opened file itself, before its content.
"""

import errno
import os
import stat
from pathlib import Path

from holdfast.errors import InvalidSettings

WRITABLE = stat.S_IWGRP | stat.S_IWOTH
READABLE = stat.S_IRWXG | stat.S_IRWXO
LARGEST = 1 << 16  # bytes; ours have some hundred
ADVICE = (
    "if you do not know it, remove it; then start a stack with `holdfast up`, or set "
    "HOLDFAST_SERVER and HOLDFAST_API_KEY"
)


def read_private(file: Path, forbidden: int) -> str | None:
    """The text of a file that is this user's alone; None where there is none.

    `forbidden` are the bits of its mode that must not be set. Raises InvalidSettings for a link or
    what is no plain file, and where the file or its folder is another user's or open to others. The
    folder itself may be reached by links: it is what they lead to that is looked at.
    """
    try:
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _not_believed(file.parent, f"{error.strerror}") from error
    try:
        require_private(file.parent, os.fstat(folder), WRITABLE)
        # not blocking: a pipe would wait for a writer
        opened = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _not_believed(file, _unopened(error)) from error
    finally:
        os.close(folder)
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise _not_believed(file, "it is no plain file")
        require_private(file, status, forbidden)
        return _text(file, os.read(opened, LARGEST + 1))
    finally:
        os.close(opened)


def require_private(path: Path, status: os.stat_result, forbidden: int) -> None:
    """Raise InvalidSettings where a file or folder is another user's, or open to others."""
    if status.st_uid != os.geteuid():
        raise _not_believed(path, f"it belongs to uid {status.st_uid}, expected {os.geteuid()}")
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        wanted = mode & ~forbidden
        raise _not_believed(
            path, f"its mode {mode:04o} lets others in, expected {wanted:04o} (chmod {wanted:o})"
        )


def _text(file: Path, content: bytes) -> str:
    if len(content) > LARGEST:
        raise _not_believed(file, f"it is larger than {LARGEST} bytes")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise _not_believed(file, "it is no ASCII text") from None


def _unopened(error: OSError) -> str:
    return "it is a link" if error.errno == errno.ELOOP else f"{error.strerror}"


def _not_believed(path: Path, finding: str) -> InvalidSettings:
    return InvalidSettings(f"{path} is not believed: {finding}; {ADVICE}")
