"""How many processes this run has, and which of them this is, as the launcher tells each.

Apart from what they share (training/devices/parallel.py), so that a run in one process, as a merge
always is, loads nothing of that.
"""

import os


def world() -> int:
    """How many processes this run has."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process; 0 alone reports and writes."""
    return int(os.environ.get("RANK", "0"))
