"""The walls around what loads checkpoints, as findings of `holdfast doctor`: one line for each.

A process raises them around a child that tries to get out (workers/children/try_walls.py); here
what came of it becomes a level and a sentence. A wall that is missing is in nobody's way, unless
HOLDFAST_WALL=required says so.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

from holdfast.settings import Settings, child_environment, make_home

WALLS = ("network", "privileges", "files")
TRYING = "workers.children.try_walls"

Line = tuple[str, Literal["ok", "warning", "bad"], str]


def look_at_walls(settings: Settings) -> Iterator[Line]:
    """Try every wall: its name, a level, and a sentence on whether and why it stands."""
    if settings.wall == "off":
        yield "walls", "warning", "off; HOLDFAST_WALL=auto raises all that this machine has"
        return
    make_home(settings.home)
    done = subprocess.run(
        [sys.executable, "-m", TRYING],
        cwd=settings.home,
        env=child_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    missing: Literal["warning", "bad"] = "bad" if settings.wall == "required" else "warning"
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        yield "walls", "bad", f"no child starts behind walls: {last}"
        return
    tried = {wall["name"]: wall for wall in json.loads(done.stdout)}
    for name in WALLS:
        wall = tried.get(name, {"stands": False, "detail": "it was not tried"})
        words = f"{'stands' if wall['stands'] else 'does not stand'}: {wall['detail']}"
        yield f"wall {name}", "ok" if wall["stands"] else missing, words
