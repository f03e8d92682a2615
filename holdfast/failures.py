"""An error that nobody foresaw, without its message, which may quote a prompt or a model.

Errors that we raise on purpose are worded for rows and logs, and those of databases, files, imports
and memory name tables, paths, modules and sizes. Of any other the kind and the place are shown: a
parser, a template or a tokenizer quotes what it could not read.
"""

import errno
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from holdfast.errors import DiskFull, HoldfastError

ROOT = Path(__file__).parents[1]
PACKAGES = tuple(f"{ROOT / name}/" for name in ("holdfast", "service", "workers", "training"))
WORDED = (HoldfastError, OSError, ImportError, MemoryError)
DATABASE = "sqlalchemy.exc"  # `db.session` has taken statement and values out of these
DEVICE = re.compile(r"out of memory|DefaultCPUAllocator|CUDA error")  # of torch, about no text
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LEFT_OUT = "its message is left out, since it may quote a model"


def described(error: BaseException) -> str:
    """Its kind and its detail."""
    return f"{type(error).__name__}: {detail_of(error)}"


def detail_of(error: BaseException) -> str:
    """Its message, or where in our code it came up if the message may quote somebody."""
    message = message_of(error)
    if message is not None:
        return message
    place = _place(error)
    return f"{LEFT_OUT}; it came up at {place}" if place else LEFT_OUT


def full_disk(error: BaseException) -> DiskFull | None:
    """The error as that of a full disk, where it or what led to it is one; None for any other."""
    for link in _causes(error):
        if isinstance(link, DiskFull):
            return link
        if isinstance(link, OSError) and link.errno in NO_ROOM:
            return DiskFull(f"{link.filename or 'a file'} could not be written ({link.strerror})")
    return None


def trace(error: BaseException) -> str:
    """A traceback, the cause first, with the same messages as `described`."""
    links = [f"{_calls(link)}{described(link)}\n" for link in _causes(error)]
    return "\nwhich led to\n\n".join(reversed(links))


def log_trace(log: logging.Logger, subject: str, error: BaseException) -> None:
    """Log a trace of what broke the subject, one record a line: our logs have an event a line."""
    for line in trace(error).splitlines():
        log.error("%s %s", subject, line)


def print_trace(
    _kind: type[BaseException], error: BaseException, _calls: TracebackType | None
) -> None:
    """Write `trace` to standard error; made to be `sys.excepthook`."""
    sys.stderr.write(trace(error))
    sys.stderr.flush()


def message_of(error: BaseException) -> str | None:
    """The message of an error that quotes nobody; None for any other."""
    if isinstance(error, WORDED):
        return str(error)
    message = str(error).partition("\n")[0]
    is_of_device = isinstance(error, RuntimeError) and DEVICE.search(message)
    return message if is_of_device or type(error).__module__ == DATABASE else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it came from, what that came from; Python makes no circles of them."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _calls(error: BaseException) -> str:
    if error.__traceback__ is None:
        return ""
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
    return "".join(lines)


def _place(error: BaseException) -> str | None:
    """The innermost line of ours on the way to the error."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = (
        f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno}"
        for frame in frames
        if frame.filename.startswith(PACKAGES)
    )
    return next(places, None)
