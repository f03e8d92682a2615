"""The walls of this machine as `holdfast doctor` tries them, all and where a kernel lacks some."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.children.try_walls import Attempt, judged, sysctl_advice
from workers.children.walls.raising import Wall


def walls_of(home: Path, refused: str = "") -> dict[str, Wall]:
    kernel = [sys.executable, "-m", "tests.support.refusing_kernel", refused] if refused else []
    words = [*kernel, sys.executable, "-m", "workers.children.try_walls"]
    environment = {**os.environ, "HOLDFAST_HOME": str(home)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return {wall["name"]: Wall(**wall) for wall in json.loads(done.stdout)}


def test_every_wall_is_tried_and_nothing_is_left_behind(home: Path) -> None:
    walls = walls_of(home)
    assert walls.keys() == {"network", "privileges", "files"}
    assert walls["privileges"].stands
    assert not list((home / "run").glob("*.sid"))
    assert not list(home.glob("wall-*"))


@pytest.mark.parametrize(
    ("refused", "lacking", "words"),
    [
        ("unshare", "network", ["not permitted", "container"]),
        ("landlock", "files", ["not implemented", "Linux 5.19"]),
    ],
)
def test_a_wall_that_the_kernel_lacks_is_named_with_why_and_what_to_do(
    refused: str, lacking: str, words: list[str], home: Path
) -> None:
    walls = walls_of(home, refused)
    assert not walls[lacking].stands
    assert sysctl_advice() or all(word in walls[lacking].detail for word in words)


def test_a_wall_that_lets_something_through_does_not_stand() -> None:
    wall = Wall("network", stands=True, detail="a network of its own")
    through = Attempt("network", "this machine's loopback is open", right=False)
    elsewhere = Attempt("files", "the data folder can be read", right=False)
    assert judged(wall, [elsewhere]) == wall
    found = judged(wall, [through])
    assert not found.stands
    assert "this machine's loopback is open" in found.detail
