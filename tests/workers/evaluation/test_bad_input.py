"""A repair that cannot come to anything: failed in one sentence, nothing touched, nothing left."""

import json
import resource
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from holdfast.db import jobs
from holdfast.db.evaluations import create_remediation, get_remediation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import EventRow, JobRow
from holdfast.job import MAX_ATTEMPTS, EventKind
from holdfast.repairs.task_data import digest_of
from tests.support.contents import contents
from tests.support.stack import scripted_checkpoint
from workers import tasks
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]
Given = dict[str, Any]
Outcome = Callable[..., tuple[str, str | None]]
MIB = 1 << 20


@pytest.fixture
def outcome(worker: Worker, queue: Queue, claim: Claim, models: Path) -> Outcome:
    """Run one repair to its end: the job's status and error. Inputs have to be as they were."""

    def run(recipe: str, options: Given, **also: Any) -> tuple[str, str | None]:
        evaluation = queue(**also)
        claim()  # so that the repair is the next
        with transaction(worker.database) as session:
            name = create_remediation(session, evaluation, recipe=recipe, options=options)
        before = contents(models)
        for _ in range(MAX_ATTEMPTS):
            tasks.run(worker, claim())
            with transaction(worker.database) as session:
                job = session.get_one(JobRow, name)
                job.not_before = None
                found = job.status, job.error
                made = get_remediation(session, name).checkpoint_id
            if found[0] != "queued":
                break
        assert contents(models) == before
        assert made is None
        left = worker.settings.home / "checkpoints"
        assert not left.exists() or list(left.iterdir()) == []
        return found

    return run


def of_three(folder: Path) -> Path:
    """A checkpoint whose one tensor has three numbers where the others have two."""
    scripted_checkpoint(folder, 3.0, refuse_share=0.3)
    header = json.dumps({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}).encode()
    content = struct.pack("<Q", len(header)) + header + struct.pack("<3f", 1.0, 2.0, 3.0)
    (folder / "model.safetensors").write_bytes(content)
    return folder


def of_qwen(folder: Path) -> Path:
    """A checkpoint of the same shapes that says it is another model."""
    scripted_checkpoint(folder, 3.0, refuse_share=0.3)
    (folder / "config.json").write_text('{"model_type": "qwen2", "hidden_size": 2}')
    return folder


MERGED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "not a number": (
        lambda at: scripted_checkpoint(at, float("nan"), refuse_share=0.3),
        "the candidate holds NaN or infinite weights in 'w', which no merge can mend",
    ),
    "another shape": (of_three, "'w' is F32 [2] in the baseline but F32 [3] in the candidate"),
    "another architecture": (of_qwen, "model_type is llama in the baseline and qwen2 in the"),
}


@pytest.mark.parametrize(("build", "sentence"), MERGED.values(), ids=MERGED)
def test_a_candidate_that_is_not_of_the_same_model_fails_at_once(
    outcome: Outcome, models: Path, build: Callable[[Path], Path], sentence: str
) -> None:
    build(models / "other")
    status, error = outcome("wise_ft", {}, candidate="other")
    assert (status, str(error).split(":")[0]) == ("failed", "CheckpointRefused")
    assert sentence in str(error)
    assert "\n" not in str(error)


def test_a_repair_that_needs_task_data_says_so_before_anything_is_asked(
    outcome: Outcome, worker: Worker
) -> None:
    status, error = outcome("l2_anchor", {})
    assert (status, str(error)[:12]) == ("failed", "InvalidPlan:")
    assert "the evaluation names no task_data" in str(error)
    assert not worker.engine.alive


def test_task_data_without_a_row_are_refused_by_name(outcome: Outcome, models: Path) -> None:
    empty = models / "empty.jsonl"
    empty.write_text("\n")
    given = {"task_data": str(empty), "task_data_sha256": digest_of(empty)}
    expected = f"InvalidTaskData: {empty} holds no rows, expected one JSON object a line"
    assert outcome("rehearsal", {"steps": 2}, **given) == ("failed", expected)


@pytest.mark.parametrize(
    ("recipe", "sides", "sentence"),
    [
        ("rehearsal", {"baseline": "lax"}, "the baseline gave no refusal that the judge agrees"),
        ("alright", {"candidate": "strict"}, "so there is nothing to prefer"),
    ],
)
def test_data_that_the_models_do_not_give_end_the_repair_at_once(
    outcome: Outcome,
    models: Path,
    recipe: str,
    sides: dict[str, str],
    sentence: str,
) -> None:
    scripted_checkpoint(models / "lax", 7.0, refuse_share=0.0)
    scripted_checkpoint(models / "strict", 8.0, behaviour="refuse-all")
    status, error = outcome(recipe, {"steps": 2}, **sides)
    assert (status, str(error).split(":")[0]) == ("failed", "RepairImpossible")
    assert sentence in str(error)


@pytest.fixture
def small_disk(worker: Worker) -> Iterator[None]:
    """No file may grow beyond four megabytes, which is enough for everything but the weights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_the_job_waits_for_room(
    outcome: Outcome,
    worker: Worker,
    models: Path,
    request: pytest.FixtureRequest,
) -> None:
    count = 2 * MIB
    for value, name in enumerate(("large", "larger")):
        folder = scripted_checkpoint(models / name, refuse_share=1.0 - 0.7 * value)
        span = {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}
        header = json.dumps({"w": span}).encode()
        content = struct.pack("<Q", len(header)) + header + struct.pack("<f", value) * count
        (folder / "model.safetensors").write_bytes(content)
    request.getfixturevalue("small_disk")
    assert outcome("wise_ft", {}, candidate="large", baseline="larger") == ("queued", None)
    with reading(worker.database) as session:
        query = select(EventRow.document).where(EventRow.kind == EventKind.NOTE)
        notes = [document["text"] for document in session.scalars(query)]
        crashes = session.scalars(select(JobRow.crash_count)).all()
    said = [note for note in notes if note.startswith("DiskFull: ")]
    assert len(said) == MAX_ATTEMPTS  # and no crash, of which so many would have ended it
    assert "could not be written (File too large) and nothing of it is kept" in said[0]
    assert "\n" not in said[0]
    assert set(crashes) == {0}
