"""The most memory held during a block: of the accelerator where there is one, else resident.

Linux's own count of the resident peak can be reset by a write to /proc alone, which the walls
around a training child do not allow. So it is looked at every hundredth of a second.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import torch

_PAGES = Path("/proc/self/statm")
EVERY = 0.01  # seconds; a layer's activations live longer


@dataclass(slots=True)
class Peak:
    """The peak in bytes, once the block is over; None where the system does not tell."""

    memory: int | None = None

    def watch(self, over: Event) -> None:
        """Look at the resident memory until the block is over."""
        while (held := resident_bytes()) is not None:
            self.memory = max(held, self.memory or 0)
            if over.wait(EVERY):
                return


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the most memory that this process holds in the block."""
    peak = Peak()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        yield peak
        peak.memory = torch.cuda.max_memory_allocated()
        return
    over = Event()
    watcher = Thread(target=peak.watch, args=(over,), daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def resident_bytes() -> int | None:
    """The memory that is in RAM, libraries and all; None where there is no /proc."""
    try:
        return int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
