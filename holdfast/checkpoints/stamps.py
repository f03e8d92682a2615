"""Size, times and place of a file, to notice that it was touched after it was hashed.

A change of content always moves the ctime, which nobody can set back; `cp -a` of another model over
this one keeps inode, size and mtime. But a second write within one tick of the clock leaves no
trace, so a file that was written just before it was hashed gets a stamp that equals no other.
"""

import hashlib
import os
import time
from dataclasses import dataclass, replace

from holdfast.errors import CheckpointRefused

NEVER = -1  # the ctime in a stamp that equals no other
FINE_TICK_NS = 50_000_000  # of a kernel's clock, with room
COARSE_TICK_NS = 2_000_000_000  # of file systems that keep whole seconds, or two of them
FINE_DIGITS = 1_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size, times and place of a file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file's status."""
    return Stamp(
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
    )


def tick_ns(stamp: Stamp) -> int:
    """How long two writes may share one ctime where this file lies."""
    return FINE_TICK_NS if stamp.ctime_ns % FINE_DIGITS else COARSE_TICK_NS


def lasting_stamp(stamp: Stamp, hashed_ns: int) -> Stamp:
    """The stamp to compare with later ones, of a file whose hashing began at `hashed_ns`."""
    settled = hashed_ns - stamp.ctime_ns > tick_ns(stamp)
    return stamp if settled else replace(stamp, ctime_ns=NEVER)


def hash_again(descriptor: int, place: str) -> tuple[str, Stamp]:
    """The SHA-256 of an open file and a lasting stamp; waits out a tick if it was just written."""
    stamp = stamp_of(os.fstat(descriptor))
    tick = tick_ns(stamp)
    if time.time_ns() - stamp.ctime_ns <= tick:
        time.sleep(tick / 1e9)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stamp_of(os.fstat(descriptor)) != stamp:
        raise CheckpointRefused(f"{place} changed while it was read; submit it when it is done")
    return digest, stamp
