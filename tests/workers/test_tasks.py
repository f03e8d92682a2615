"""How a job ends, whatever the work does: one row a way out."""

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert
from sqlalchemy.exc import OperationalError

from holdfast.db import jobs
from holdfast.db.evaluations import events_after, remediations_of
from holdfast.db.session import reading, transaction
from holdfast.db.tables import AnswerRow, JobRow
from holdfast.errors import (
    CheckpointRefused,
    DiskFull,
    EngineFailed,
    LeaseLost,
    MachineUnfit,
    RepairImpossible,
    TrainingFailed,
    Unreachable,
)
from holdfast.job import MAX_ATTEMPTS, JobKind, Status
from holdfast.probes.engine import Sampling
from workers import heartbeat, tasks
from workers.worker import Worker

SAID = "swordfish"

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]


def work_that(monkeypatch: pytest.MonkeyPatch, do: Callable[[Worker, jobs.Lease], None]) -> None:
    """Put other work into the table; everything around it is real."""
    monkeypatch.setitem(tasks.WORK, JobKind.EVALUATION, do)


def raising(error: BaseException) -> Callable[[Worker, jobs.Lease], None]:
    def work(_worker: Worker, _lease: jobs.Lease) -> None:
        raise error

    return work


def row(worker: Worker, job_id: str) -> JobRow:
    with reading(worker.database) as session:
        return session.get_one(JobRow, job_id)


@pytest.mark.parametrize(
    ("error", "status", "sentence", "attempts", "crashes"),
    [
        (CheckpointRefused("it is gone"), "failed", "CheckpointRefused: it is gone", 1, 0),
        (Unreachable("the broker"), "queued", None, 0, 0),
        (OperationalError("SELECT 1", {}, Exception("gone")), "queued", None, 0, 0),
        (RepairImpossible("loss nan"), "failed", "RepairImpossible: loss nan", 1, 0),
        (EngineFailed("it died"), "queued", None, 1, 1),
        (TrainingFailed("it died"), "queued", None, 1, 1),
        (DiskFull("no room"), "queued", None, 0, 0),
        (OSError(errno.ENOSPC, "No space left on device"), "queued", None, 0, 0),
        (MachineUnfit("no memory"), "failed", "MachineUnfit: no memory", 1, 0),
        (ZeroDivisionError("a bug"), "queued", None, 1, 1),
        (LeaseLost("epoch 1 is over"), "running", None, 1, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_ends_the_job_its_own_way(
    error: Exception,
    status: str,
    sentence: str | None,
    attempts: int,
    crashes: int,
    worker: Worker,
    queue: Queue,
    claim: Claim,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = queue()
    work_that(monkeypatch, raising(error))
    tasks.run(worker, claim())
    found = row(worker, job_id)
    assert (found.status, found.error) == (status, sentence)
    assert (found.attempts, found.crash_count) == (attempts, crashes)
    assert (found.not_before is not None) == (status == "queued")


def test_a_job_without_room_says_so_and_waits(
    worker: Worker, queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queue()

    def fill_up(_worker: Worker, _lease: jobs.Lease) -> None:
        Path("/dev/full").write_text("x")

    work_that(monkeypatch, fill_up)
    tasks.run(worker, claim())
    with reading(worker.database) as session:
        note, requeued = list(events_after(session, job_id, 0))[-2:]
        waits = session.get_one(JobRow, job_id).not_before
        assert waits is not None
        assert (waits - jobs.now(session)).total_seconds() > tasks.DISK_SECONDS / 2
    assert note.document["text"].startswith("DiskFull: ")
    assert "No space left on device" in note.document["text"]
    assert requeued.document == {"crashed": False}


def test_the_third_crash_is_the_last_and_says_what_it_was(
    worker: Worker, queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queue()
    work_that(monkeypatch, raising(EngineFailed("it died")))
    for status in ("queued", "queued", "failed"):
        with transaction(worker.database) as session:
            session.get_one(JobRow, job_id).not_before = None
        tasks.run(worker, claim())
        assert row(worker, job_id).status == status
    assert row(worker, job_id).error == "EngineFailed: it died"


def parse(_worker: Worker) -> None:
    raise ValueError(f"no number in {SAID!r}")


def save_twice(worker: Worker) -> None:
    for _ in range(2):
        with transaction(worker.database) as session:
            row = {"key": SAID, "checkpoint_digest": "d", "document": {"text": SAID}}
            session.execute(insert(AnswerRow).values(**row, created_at=datetime.now(UTC)))


@pytest.mark.parametrize(
    ("crash", "sentence"),
    [
        (parse, "ValueError: its message is left out, since it may quote a model"),
        (save_twice, "IntegrityError: (sqlite3.IntegrityError) UNIQUE constraint failed: answers"),
    ],
)
def test_no_record_of_a_crash_quotes_a_model_or_a_statement(
    crash: Callable[[Worker], None],
    sentence: str,
    worker: Worker,
    queue: Queue,
    claim: Claim,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = queue()
    work_that(monkeypatch, lambda worker, _lease: crash(worker))
    for _ in range(MAX_ATTEMPTS):
        with transaction(worker.database) as session:
            session.get_one(JobRow, job_id).not_before = None
            session.execute(delete(AnswerRow))
        tasks.run(worker, claim())
    failed = row(worker, job_id)
    with reading(worker.database) as session:
        events = str([event.document for event in events_after(session, job_id, 0)])
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.startswith(sentence)
    assert sentence in events
    assert f"in {crash.__name__}" in caplog.text
    for record in (failed.error, events, caplog.text):
        assert SAID not in record
        assert "INSERT" not in record


def test_an_orderly_stop_hands_the_job_over_and_goes_on_stopping(
    worker: Worker, queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queue()
    work_that(monkeypatch, raising(SystemExit(0)))
    with pytest.raises(SystemExit):
        tasks.run(worker, claim())
    found = row(worker, job_id)
    assert (found.status, found.attempts, found.not_before) == ("queued", 0, None)
    with worker.broker.connection_for_read() as connection:
        hints = connection.default_channel.client.llen("cpu")
    assert hints == 1  # another worker is woken at once, not at the next sweep


@pytest.mark.parametrize(
    ("column", "status"),
    [("cancel_requested_at", Status.CANCELED), ("deadline_at", Status.TIMED_OUT)],
)
def test_work_that_is_stopped_from_outside_ends_as_what_stopped_it(
    column: str,
    status: Status,
    worker: Worker,
    queue: Queue,
    claim: Claim,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "CANCEL_POLL_SECONDS", 0.05)
    job_id = queue()

    def work(worker: Worker, _lease: jobs.Lease) -> None:
        slow = worker.settings.home / "models" / "slow"
        slow.mkdir()
        (slow / "scripted.json").write_text('{"seconds_per_answer": 3600}')
        worker.engine.open(slow, None)
        with transaction(worker.database) as session:
            setattr(session.get_one(JobRow, job_id), column, datetime.now(UTC))
        list(worker.engine.generate(["hello"], Sampling(max_tokens=8)))

    work_that(monkeypatch, work)
    tasks.run(worker, claim())
    found = row(worker, job_id)
    assert (found.status, found.error, found.crash_count) == (status, None, 0)
    assert not worker.engine.alive


def test_a_crash_of_a_job_that_is_not_ours_any_more_is_not_counted(
    worker: Worker, queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queue()

    def work(worker: Worker, lease: jobs.Lease) -> None:
        with transaction(worker.database) as session:
            session.get_one(JobRow, job_id).lease_epoch = lease.epoch + 1
        raise EngineFailed("it was killed")

    work_that(monkeypatch, work)
    tasks.run(worker, claim())
    found = row(worker, job_id)
    assert (found.status, found.crash_count, found.error) == ("running", 0, None)


LADDER = """\
version: 1
name: ladder
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
remediation: {on_fail: auto, recipes: [wise_ft, rehearsal], budget: {candidates: 2}}
"""


@pytest.mark.parametrize(
    ("error", "lost", "followed"),
    [
        (CheckpointRefused("not finite"), None, True),
        (TrainingFailed("it died"), None, False),
        (EngineFailed("stopped"), heartbeat.Loss.DEADLINE, True),
        (EngineFailed("stopped"), heartbeat.Loss.CANCELED, False),
    ],
    ids=["refused", "to be tried again", "too late", "canceled"],
)
def test_a_repair_that_comes_to_nothing_is_followed_by_the_next_recipe(
    error: Exception,
    lost: heartbeat.Loss | None,
    followed: bool,
    worker: Worker,
    queue: Queue,
    claim: Claim,
) -> None:
    failing = queue(policy=LADDER)
    tasks.run(worker, claim())
    lease = claim()
    assert lease.kind is JobKind.REMEDIATION
    tasks.end(worker, lease, error, lost)
    with reading(worker.database) as session:
        recipes = [one.recipe for one in remediations_of(session, failing)]
    assert recipes == (["wise_ft", "rehearsal"] if followed else ["wise_ft"])
