"""What a worker left is archived as its verdict names it; what was removed is missed in words."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import CheckpointRow, JobRow
from holdfast.ids import new_id
from holdfast.projects.prune import prune
from holdfast.repairs.task_data import digest_of
from tests.holdfast.projects.retention.rows import end
from tests.support.evaluations import verdict_of
from workers import tasks
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]
NAMES = {"repaired_from": "repaired"}


def test_the_archive_of_a_repairs_evaluation_has_all_of_its_sides(
    worker: Worker, queue: Queue, claim: Claim, task_data: Path
) -> None:
    sha = digest_of(task_data)
    evaluation = queue(
        "eroded",
        repairs="eroded",
        anchor="aligned",
        task_data=str(task_data),
        task_data_sha256=sha,
        split="confirm",
    )
    tasks.run(worker, claim())
    digests = verdict_of(worker, evaluation).evidence_digests
    assert set(digests) == {"baseline", "candidate", "repaired_from", "anchor"}
    end(worker.database, evaluation, days=31)
    aged = worker.settings.model_copy(update={"keep_trials_days": 30})
    assert prune(worker.database, aged).problems == ()
    folder = worker.settings.home / "archive" / evaluation / "evidence"
    for name, digest in digests.items():
        content = (folder / f"{NAMES.get(name, name)}.jsonl").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_a_job_whose_repaired_weights_were_removed_fails_in_a_sentence(
    worker: Worker, queue: Queue, claim: Claim, side: str
) -> None:
    evaluation, repair = queue(), new_id("rem")
    with transaction(worker.database) as session:
        row = get_evaluation(session, evaluation)
        checkpoint = session.get_one(CheckpointRow, getattr(row, f"{side}_id"))
        checkpoint.path = str(worker.settings.repairs.resolve() / repair)
    tasks.run(worker, claim())
    with reading(worker.database) as session:
        job = session.get_one(JobRow, evaluation)
    assert job.status == "failed"
    assert f"which the repair {repair} made, were removed" in str(job.error)
