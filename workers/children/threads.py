"""How many threads an engine gets on a CPU, and whether vLLM binds each of them to a core.

OpenMP's threads wait for each other after every operation. Bound to cores that others use as well,
all of them wait for the one that is not running, in every operation anew; so they are bound only
where the cores are idle when the engine starts, and otherwise are fewer and free to move.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

THREADS = ("VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS")
STAT = Path("/proc/stat")
LOOK_SECONDS = 0.5
BUSY_CORES = 0.5  # from so much of a core on, others count
IDLE, IOWAIT = 3, 4  # columns behind a processor's name


def thread_environment(busy: float, cores: int) -> dict[str, str]:
    """What tells an engine about its threads, where others keep `busy` of `cores` cores at work."""
    if busy < BUSY_CORES:
        return {}
    return dict(zip(THREADS, ("nobind", str(max(1, cores - round(busy)))), strict=True))


def busy_cores(seconds: float = LOOK_SECONDS) -> float:
    """How many of the cores that we may use are at work, over a moment; 0 where nobody says."""
    if not STAT.is_file():
        return 0.0
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    before = _times(STAT.read_text(encoding="utf-8").splitlines(), ours)
    time.sleep(seconds)
    after = _times(STAT.read_text(encoding="utf-8").splitlines(), ours)
    used, passed = after[0] - before[0], after[1] - before[1]
    return len(ours) * used / passed if passed > 0 else 0.0


def _times(lines: Iterable[str], ours: set[str]) -> tuple[int, int]:
    """Ticks at work, and all ticks, of our processors since the machine started."""
    work = total = 0
    for line in lines:
        name, *fields = line.split()
        if name in ours:
            ticks = [int(field) for field in fields[:8]]  # the guests' are in the users' already
            total += sum(ticks)
            work += sum(ticks) - ticks[IDLE] - ticks[IOWAIT]
    return work, total
