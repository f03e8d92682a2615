"""How many threads and processes an engine gets on a CPU, and whether they are bound to cores.

OpenMP's threads wait for each other after every operation. Bound to cores that others use as well,
all of them wait for the one that is not running, in every operation anew; so they are bound only
where the cores are idle when the engine starts, and otherwise are fewer and free to move.

Left to itself, vLLM has one process for its scheduler and one for its worker, whose threads it
binds. Each imports torch and vLLM anew, which is most of a start, and on few cores they only take
turns; so there it runs in the runner, which is told what vLLM would tell its worker.
"""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

BIND, COUNT = "VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS"
THREADS = (BIND, COUNT)
PROCESSES = "VLLM_ENABLE_V1_MULTIPROCESSING"
OF_PROCESSES = (PROCESSES, BIND, "VLLM_CPU_NUM_OF_RESERVED_CPU")  # each decides that it has them
FEW_CORES = 4
STAT = Path("/proc/stat")
TOPOLOGY = Path("/sys/devices/system/cpu")
LOOK_SECONDS = 0.5
BUSY_CORES = 0.5  # from so much of a core on, others count
IDLE, IOWAIT = 3, 4  # columns behind a processor's name


def process_environment(
    backend: str, environment: Mapping[str, str], processors: set[int], ranks: int = 1
) -> dict[str, str]:
    """The variable that keeps vLLM in one process: on few cores, unless an operator chose.

    A model that is split over `ranks` has a process for each of them anyway, and vLLM wants a
    memory node for each process unless it is told to leave their threads alone.
    """
    if backend != "vllm-cpu" or not environment.keys().isdisjoint(OF_PROCESSES):
        return {}
    if ranks > 1:
        return {BIND: "nobind"}
    return {PROCESSES: "0"} if len(processors) <= FEW_CORES else {}


def thread_environment(
    backend: str, busy: float, processors: set[int], ranks: int = 1
) -> dict[str, str]:
    """The variables for an engine's threads, where others keep `busy` of the processors at work.

    `processors` are the numbers of those that it may use, `ranks` the processes that share them.
    """
    if ranks > 1:
        free = len(processors) - (round(busy) if busy >= BUSY_CORES else 0)
        return {COUNT: str(max(1, free // ranks))}
    few = len(processors) <= FEW_CORES
    if busy >= BUSY_CORES:
        count = {COUNT: str(max(1, len(processors) - round(busy)))}
        return count if few else {**count, BIND: "nobind"}
    if backend != "vllm-cpu" or not few:
        return {}
    bound = last_of_each_core(processors)
    places = ",".join(map(str, bound))
    return {COUNT: str(len(bound)), "OMP_PLACES": f"{{{places}}}", "OMP_PROC_BIND": "true"}


def last_of_each_core(processors: Iterable[int]) -> list[int]:
    """The last processor of every core, as vLLM takes them: two on one core gain nothing."""
    return sorted({_core_of(number): number for number in sorted(processors)}.values())


def _core_of(processor: int) -> tuple[str, ...]:
    """Package and core, or the processor itself where nobody says."""
    topology = TOPOLOGY / f"cpu{processor}" / "topology"
    files = [topology / name for name in ("physical_package_id", "core_id")]
    if not all(file.is_file() for file in files):
        return (str(processor),)
    return tuple(file.read_text(encoding="utf-8").strip() for file in files)


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
