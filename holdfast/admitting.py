"""The child that admits: `python -m holdfast.admitting`, one request in, one answer out, both JSON.

What a request names was written by others, and a parser that reads it holds its whole interpreter
for as long as it was made to. Here that is a process of its own, with a bound on its time and its
memory, and with no key, database or setting in reach.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from holdfast.checkpoints.adapter import admit_checkpoint
from holdfast.checkpoints.checkpoint import CheckpointRef, FileEntry
from holdfast.checkpoints.listing import MAX_NAMES
from holdfast.checkpoints.stamps import Stamp
from holdfast.errors import ERRORS, CheckpointRefused, HoldfastError
from holdfast.repairs.task_data import TaskFile, admit_task_data

MEMORY = 4 << 30  # of address space; the largest real tokenizer takes a tenth of it
SECONDS = 60  # and one more for so many bytes, as a slow network drive reads:
BYTES_A_SECOND = 20_000_000
BLOCK = 512  # bytes, of `st_blocks` on every system

Request = Mapping[str, Any]


def main() -> None:
    """Answer the request on standard input; the alarm ends this process where it takes too long."""
    request = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    named = [request.get(key) for key in ("checkpoint", "adapter", "task_data")]
    signal.alarm(SECONDS + sum(map(_bytes_at, filter(None, named))) // BYTES_A_SECOND)
    json.dump(answer(request), sys.stdout)


def answer(request: Request) -> dict[str, Any]:
    """The admitted checkpoint or file, or the error that refuses it."""
    roots = [Path(root) for root in request["roots"]]
    try:
        if "task_data" in request:
            return {"task": _plain(asdict(admit_task_data(request["task_data"], roots)))}
        ref = admit_checkpoint(request["checkpoint"], request["adapter"], roots)
        return {"checkpoint": _plain(asdict(ref))}
    except HoldfastError as error:
        return {"error": type(error).__name__, "detail": str(error)}
    except MemoryError:
        detail = f"what it holds takes more than {MEMORY} bytes of memory to read; save it again"
        return {"error": CheckpointRefused.__name__, "detail": detail}


def refuse_if_refused(reply: Mapping[str, Any]) -> None:
    """Raise the error that a child answered with, if it did."""
    if "error" in reply:
        raise ERRORS[reply["error"]](reply["detail"])


def task_of(reply: Mapping[str, Any]) -> TaskFile:
    """The file of an answer."""
    return TaskFile(Path(reply["task"]["path"]), reply["task"]["sha256"])


def checkpoint_of(reply: Mapping[str, Any]) -> CheckpointRef:
    """The checkpoint of an answer."""
    fields = reply["checkpoint"]
    return CheckpointRef(
        **fields
        | {
            "path": Path(fields["path"]),
            "files": tuple(FileEntry(*entry) for entry in fields["files"]),
            "stamps": tuple(Stamp(**stamp) for stamp in fields["stamps"]),
            "adapter": None if fields["adapter"] is None else Path(fields["adapter"]),
            "ignored": tuple(fields["ignored"]),
        }
    )


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with paths as text."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}


def _bytes_at(named: str) -> int:
    """The bytes on the disk of a file, or of the files in a folder; 0 where there is none.

    Holes are not counted: a file of nothing else would have hours to be read in.
    """
    try:
        path = Path(named.removeprefix("file://"))
        if not path.is_dir():
            return _stored_bytes(path.stat())
        with os.scandir(path) as entries:
            return sum(_stored_bytes(entry.stat()) for entry in islice(entries, MAX_NAMES))
    except (OSError, ValueError):
        return 0


def _stored_bytes(status: os.stat_result) -> int:
    return min(status.st_size, status.st_blocks * BLOCK)


if __name__ == "__main__":
    main()
