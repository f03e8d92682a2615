"""How much memory is left, to know whether a second model fits beside the warm engine."""

from pathlib import Path

MACHINE = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")


def free_memory(machine: Path = MACHINE, group: Path = GROUP) -> int:
    """Bytes that a process may still take: the machine's, or its control group's if that is less.

    0 where the system does not say, so that nobody counts on what may not be there.
    """
    if not machine.is_file():
        return 0
    fields = dict(line.split(":", 1) for line in machine.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    limit = group / "memory.max"
    if not limit.is_file() or (maximum := limit.read_text().strip()) == "max":
        return available
    return min(available, int(maximum) - _held(group))


def _held(group: Path) -> int:
    """Bytes that a control group cannot give up; unused file pages are counted in `current`."""
    current, stat = int((group / "memory.current").read_text()), group / "memory.stat"
    lines = stat.read_text().splitlines() if stat.is_file() else []
    pages = dict(line.split() for line in lines)
    return current - int(pages.get("inactive_file", 0))


def fits_with_engine(backend: str, needed: int) -> bool:
    """Whether a child that takes `needed` bytes can run while the engine stays open.

    An accelerator's memory is all the engine's; on a CPU what is free is free.
    """
    return backend == "vllm-cpu" and free_memory() >= needed
