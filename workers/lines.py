"""A child's side of its pipe: one JSON object a line, and last how it ended.

What it found comes as it is found; the last line is `done`, or `error` with the name of the error
and what to do. Whoever started the child reads it by `workers.children.training_child`.
"""

import json
import sys
from collections.abc import Callable

from holdfast.errors import HoldfastError
from holdfast.failures import detail_of, full_disk, trace

BAD_INPUT, FAILED = 65, 70  # sysexits: EX_DATAERR, EX_SOFTWARE


def say(event: str, /, **fields: object) -> None:
    """Write one line, at once; NaN and infinity are no JSON and raise ValueError."""
    sys.stdout.write(json.dumps({"event": event, **fields}, allow_nan=False) + "\n")
    sys.stdout.flush()


def run_to_the_end(work: Callable[[], None]) -> int:
    """Do the work, say how it ended, and return the exit code."""
    try:
        work()
    except HoldfastError as error:
        say("error", error=error.title, detail=str(error))
        return BAD_INPUT
    except Exception as error:  # noqa: BLE001  the edge of the process; the parent reads the line
        sys.stderr.write(trace(error))
        error = full_disk(error) or error
        say("error", error=type(error).__name__, detail=detail_of(error))
        return FAILED
    say("done")
    return 0
