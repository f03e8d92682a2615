"""Whether a child that has not answered for long still computes: by the processor time of its tree.

A step may take minutes on a machine that is slow or shared, so waiting alone says nothing. A
process that has died in a deadlock uses no processor time either, and that is what ends it.
"""

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from workers.children.guard import end_session, process_stat, session_members

_Word = TypeVar("_Word")

STALLED_SECONDS = 600.0
LEAST_CPU_SECONDS = 1.0  # within that time; what waits for a message uses less
LOOK_SECONDS = 10.0
USER, SYSTEM = 11, 12  # places in what `process_stat` gives


def cpu_seconds(session: int) -> float:
    """The processor time that the living processes of a session have used so far."""
    fields = [stat for pid in session_members(session) if (stat := process_stat(pid))]
    ticks = sum(int(stat[USER]) + int(stat[SYSTEM]) for stat in fields)
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_for_stall(
    session: int, waiting_since: Callable[[], float | None], ended: threading.Event
) -> bool:
    """True as soon as the session has stalled while it was waited for, False once `ended` is set.

    `waiting_since` is the monotonic time of the last word from it; None while nobody waits.
    """
    used, moved = cpu_seconds(session), time.monotonic()
    while not ended.wait(LOOK_SECONDS):
        total, now = cpu_seconds(session), time.monotonic()
        since = waiting_since()
        if since is None or abs(total - used) >= LEAST_CPU_SECONDS:  # it falls where one has ended
            used, moved = total, now
        elif now - max(moved, since) >= STALLED_SECONDS:
            return True
    return False


class Watched:
    """A context in which a session is ended once it has stalled while somebody waited for it.

    `stalled` says whether it was, and `why` in words.
    """

    def __init__(self, session: int) -> None:
        """Nobody waits yet."""
        self.stalled = False
        self._session = session
        self._since: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def why(self) -> str:
        """Why it was ended."""
        minutes = STALLED_SECONDS / 60
        return f"it neither spoke nor computed for {minutes:.0f} minutes, so it was ended"

    def waiting(self, read: Callable[[], _Word]) -> _Word:
        """The result of `read`, which may wait for the session."""
        self._since = time.monotonic()
        try:
            return read()
        finally:
            self._since = None

    def _watch(self) -> None:
        if wait_for_stall(self._session, lambda: self._since, self._ended):
            self.stalled = True
            end_session(self._session, grace=0.0)
