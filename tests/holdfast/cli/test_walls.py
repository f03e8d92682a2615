"""The doctor's lines on walls: one each, and worse where they are required."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def levels(home: Path, wall: str, refused: str) -> tuple[int, dict[str, str]]:
    """The doctor's exit code and levels on a kernel that refuses some calls."""
    given = {"HOME": str(home), "ENGINE": "scripted", "WALL": wall}
    environment = {**os.environ, **{f"HOLDFAST_{name}": word for name, word in given.items()}}
    words = ["-m", "tests.support.refusing_kernel", refused, sys.executable, "-m", "holdfast.cli"]
    done = subprocess.run(
        [sys.executable, *words, "doctor", "--quick", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["findings"]
    return done.returncode, {one["what"]: one["level"] for one in found}


@pytest.mark.parametrize(
    ("wall", "level", "code"), [("auto", "warning", 0), ("required", "bad", 4)]
)
def test_a_wall_that_does_not_stand_is_a_warning_and_bad_where_it_is_required(
    wall: str, level: str, code: int, home: Path
) -> None:
    returned, found = levels(home, wall, "unshare,landlock")
    assert returned == code
    assert (found["wall network"], found["wall files"]) == (level, level)
    assert found["wall privileges"] == "ok"
