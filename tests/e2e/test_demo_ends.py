"""What `make demo` says where it cannot go on, and that it goes on there the next time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import environment
from tests.support.fleet import eventually
from tests.support.stack import scripted_checkpoint
from workers.children.guard import session_members

pytestmark = pytest.mark.timeout(600)

EXAMPLES = Path(__file__).parents[2] / "examples"


def start_demo(home: Path, **settings: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        env={**environment(home=home, **settings), "PYTHONPATH": str(EXAMPLES)},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_setting_that_is_none_is_one_sentence(home: Path) -> None:
    demo = start_demo(home, dtype="fp8")
    said, _ = demo.communicate(timeout=300)
    assert demo.returncode == 2
    assert "HOLDFAST_DTYPE" in said
    assert "Traceback" not in said


def kept_answers(home: Path) -> list[str]:
    """The prompts that have been answered so far."""
    (*files,) = (home / "demo").glob("answers-*.jsonl")
    lines = files[0].read_text().splitlines() if files else []
    return [json.loads(line)[0] for line in lines]


def test_an_engine_that_dies_is_one_sentence_and_its_answers_are_kept(home: Path) -> None:
    published = home / "demo" / "published"
    scripted_checkpoint(published, behaviour="comply-all", seconds_per_answer=0.2)
    for reach in (3, 6):
        demo = start_demo(home, engine="scripted")
        eventually(lambda reach=reach: len(kept_answers(home)) >= reach, "answers")
        (record,) = (home / "run").glob("*.sid")
        guard = int(record.stem)
        for pid in session_members(guard):
            if pid != guard:
                os.kill(pid, signal.SIGKILL)
        said, _ = demo.communicate(timeout=300)
        assert demo.returncode == 4
        assert "Traceback" not in said
        assert "SIGKILL" in said
        assert "goes on from there" in said
    demo = start_demo(home, engine="scripted")
    eventually(lambda: len(kept_answers(home)) >= 9, "answers")
    (record,) = (home / "run").glob("*.sid")
    demo.terminate()
    said, _ = demo.communicate(timeout=300)
    assert demo.returncode == 130
    assert "make demo: stopped" in said
    assert session_members(int(record.stem)) == []
    answered = kept_answers(home)
    assert len(answered) == len(set(answered))  # none was asked twice
