"""Whether a child that has not answered for long still computes: by the processor time of its tree.

A step may take minutes on a machine that is slow or shared, so waiting alone says nothing. A
process that has died in a deadlock uses no processor time either, and that is what ends it.
"""

import os
import threading
import time
from collections.abc import Callable

from workers.children.guard import process_stat, session_members

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
