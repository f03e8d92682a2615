"""The one line of a dead child's log that says what happened."""

import re
from pathlib import Path

TAIL_BYTES = 200_000
LONGEST = 400
ERROR = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Refused|Failed)\b(?::| \().*")
ELSEWHERE = (
    "root cause above",
    "stack trace for root cause",
    "stack trace (above)",
    "during handling of the above",
    "runtimeerror: cancelled",  # what vLLM's other processes say on being ended
)
GUARD = "guard: "  # how the guard says that a signal ended its child


def telling_line(log: Path, start: int = 0) -> str:
    """The last error that was written from byte `start` on, else the last line, else nothing.

    vLLM's last error only points to the one that its worker wrote before.
    """
    with log.open("rb") as opened:
        opened.seek(max(start, log.stat().st_size - TAIL_BYTES))
        lines = opened.read().decode(errors="replace").strip().splitlines()
    for line in reversed(lines):
        match = ERROR.search(line)
        if match and not any(words in line.lower() for words in ELSEWHERE):
            return match[0].strip()[:LONGEST]
        if line.startswith(GUARD):
            return line.removeprefix(GUARD)[:LONGEST]
    return lines[-1].strip()[:LONGEST] if lines else ""
