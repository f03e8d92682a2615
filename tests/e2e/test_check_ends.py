"""What `holdfast check` says where its engine dies, and that the next one goes on from there."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command import COMMAND, environment, holdfast
from tests.support.evaluations import harm
from tests.support.fleet import eventually
from tests.support.servers import scratch_folder
from tests.support.stack import scripted_checkpoint
from workers.children.guard import session_members

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where `check` makes its own folder; short, for the socket of its Redis."""
    with scratch_folder() as folder:
        yield folder


def selected(home: Path, query: str) -> list[str]:
    """The first column of a query in the database of a stack, which may not be there yet."""
    try:
        with closing(sqlite3.connect(f"file:{home}/holdfast.db?mode=ro", uri=True)) as database:
            return [row[0] for row in database.execute(query)]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "unable to open" in str(error):
            return []
        raise


def answers(home: Path) -> int:
    return len(selected(home, "SELECT key FROM answers"))


def kill_runner(home: Path) -> None:
    """SIGKILL to all of the engine's processes but the guard that tells of it."""
    for record in (home / "run").glob("*.sid"):
        guard = int(record.stem)
        for pid in session_members(guard):
            if pid != guard:
                os.kill(pid, signal.SIGKILL)


def test_an_engine_that_dies_thrice_is_one_sentence_and_its_answers_are_kept(
    tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(harm())
    for name, share in (("base", 1.0), ("tuned", 0.0)):
        scripted_checkpoint(tmp_path / name, share, refuse_share=share, seconds_per_answer=0.05)
    words = ["check", "tuned", "--baseline", "base", "--policy", "policy.yaml", "--tier", "demo"]
    checking = subprocess.Popen(
        [COMMAND, *words],
        cwd=tmp_path,
        env={
            **environment(engine="scripted", retry_seconds=0.5, sweep_seconds=1),
            "TMPDIR": str(scratch),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: [*scratch.glob("holdfast-*/run")] or checking.poll() is not None, "a stack")
    (home,) = scratch.glob("holdfast-*")
    for _ in range(3):
        known = answers(home)
        eventually(lambda known=known: answers(home) > known, "answers")
        kill_runner(home)
    _, said = checking.communicate(timeout=300)
    assert checking.returncode == 4
    assert "Traceback" not in said
    assert "SIGKILL" in said
    assert f"the same command with --home {home} goes on from there" in said

    known = answers(home)
    done = holdfast(*words, "--home", home, cwd=tmp_path, timeout=300, engine="scripted")
    assert done.returncode == 1
    assert f"`HOLDFAST_HOME={home} holdfast up` goes on with them" in done.stderr
    *_, second = selected(home, "SELECT id FROM jobs ORDER BY created_at")
    events = f"SELECT document FROM events WHERE job_id = '{second}' AND kind = 'progress'"
    first = json.loads(selected(home, f"{events} ORDER BY seq")[0])
    assert first["side"] == "baseline"
    assert first["done"] >= known  # what had been answered was there at once
