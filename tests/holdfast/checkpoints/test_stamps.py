"""A stamp stands for content only where a later write would have moved it."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from holdfast.checkpoints.stamps import NEVER, Stamp, hash_again, lasting_stamp, stamp_of

FINE, COARSE = 1_700_000_000_123_456_789, 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("ctime", "hashed_later", "lasts"),
    [
        (FINE, 1_000_000, False),
        (FINE, 60_000_000, True),
        (FINE, -1_000_000_000, False),  # a server's clock that is ahead of ours
        (COARSE, 60_000_000, False),
        (COARSE, 3_000_000_000, True),
    ],
)
def test_what_was_written_just_before_it_was_hashed_has_no_stamp(
    ctime: int, hashed_later: int, *, lasts: bool
) -> None:
    stamp = Stamp(size=1, mtime_ns=ctime, ctime_ns=ctime, inode=1, device=1)
    expected = ctime if lasts else NEVER
    assert lasting_stamp(stamp, ctime + hashed_later).ctime_ns == expected


def test_hashing_again_waits_until_a_second_write_would_show(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("first")
    descriptor = os.open(file, os.O_RDONLY)
    digest, stamp = hash_again(descriptor, "file")
    assert digest == hashlib.sha256(b"first").hexdigest()
    assert lasting_stamp(stamp, time.time_ns()) == stamp
    file.write_text("other")
    assert stamp_of(os.fstat(descriptor)) != stamp
    assert hash_again(descriptor, "file")[0] == hashlib.sha256(b"other").hexdigest()
    os.close(descriptor)
