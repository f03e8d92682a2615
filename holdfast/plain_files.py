"""Files that are read: plain ones of bounded size, opened without waiting for whoever writes.

What a path leads to may be a pipe that nobody ever writes to, a device without an end, or a file of
terabytes that takes no room on its disk. None of them is read.
"""

import errno
import os
import stat
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

from holdfast.errors import CallerError

READ = os.O_RDONLY | os.O_NONBLOCK


def open_plain(path: Path, refusal: type[CallerError]) -> BufferedReader:
    """A plain file, opened to be read; OSError for none or a folder, `refusal` for any other."""
    return plain(os.open(path, READ), str(path), refusal)


def plain(descriptor: int, place: str, refusal: type[CallerError]) -> BufferedReader:
    """The file of an open descriptor, which is closed and refused where it is no plain file."""
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), place)
        raise refusal(f"{place} is not a plain file; give a file that lies on disk")
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, limit: int, refusal: type[CallerError]) -> bytes:
    """All of a plain file of at most `limit` bytes; `refusal` for any other."""
    with open_plain(path, refusal) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise refusal(f"{path} has {size} bytes, and at most {limit} are read; make it smaller")
        content = file.read(size + 1)
    if len(content) > size:
        raise refusal(f"{path} grew while it was read; give it when it is done")
    return content


def read_plain_text(
    path: Path, limit: int, refusal: type[CallerError], encoding: str = "utf-8"
) -> str:
    """The text of such a file, newlines as ends of lines; UnicodeDecodeError where it is none."""
    return TextIOWrapper(BytesIO(read_plain(path, limit, refusal)), encoding=encoding).read()
