import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, update

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import transaction
from holdfast.db.tables import AnswerRow, JobRow, PolicyText
from holdfast.errors import InvalidSettings, Unreachable
from holdfast.evidence.file import gather
from holdfast.ids import new_id
from holdfast.job import JobKind, Status
from holdfast.policy.text import parse_policy
from holdfast.queue import producer
from holdfast.settings import Settings
from holdfast.stack.sweeper import sweep, sweep_once
from holdfast.verdict.decide import decide
from tests.holdfast.db.rows import add_checkpoint, add_policy
from tests.holdfast.projects.retention.rows import POLICY, SIDES, add_answers, add_judged, count
from tests.support.evidence import manifest
from tests.support.servers import celery_url, scratch_folder


def queued(database: Engine) -> str:
    """A job that waits, and whose hint is old."""
    moment = datetime.now(UTC)
    job = JobRow(
        id=new_id("eval"),
        project="default",
        kind=JobKind.EVALUATION.value,
        queue="cpu",
        priority=0,
        status=Status.QUEUED.value,
        created_at=moment,
        deadline_at=moment + timedelta(hours=1),
        lease_epoch=0,
        attempts=0,
        crash_count=0,
    )
    with transaction(database) as session:
        session.add(job)
    return job.id


def status(database: Engine, job_id: str) -> str:
    with transaction(database) as session:
        return session.get_one(JobRow, job_id).status


@contextmanager
def sweeping(settings: Settings) -> Iterator[None]:
    """The loop in a thread, as fast as it goes."""
    fast, ended = settings.model_copy(update={"sweep_seconds": 0.02}), threading.Event()
    thread = threading.Thread(target=sweep, args=(fast, ended), daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_lost_workers_job_is_freed_and_its_queue_woken(
    settings: Settings, database: Engine, redis_socket: Path
) -> None:
    job_id = queued(database)
    with transaction(database) as session:
        assert jobs.claim(session, queue="cpu", owner="dead") is not None
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(JobRow).values(lease_expires_at=past))
    broker = producer(settings)
    done = sweep_once(database, broker, resend_after=15.0)
    assert (done.requeued, done.ended, done.hints) == (1, 0, 1)
    assert status(database, job_id) == "queued"
    with redis.Redis(unix_socket_path=str(redis_socket)) as client:
        assert client.llen("holdfast:cpu") == 1
    again = sweep_once(database, broker, resend_after=15.0)
    assert (again.requeued, again.hints) == (0, 0)
    broker.close()


def test_a_broker_that_is_away_is_an_error_once_and_a_line_in_the_loop(
    settings: Settings, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with scratch_folder() as nowhere:
        away = settings.model_copy(update={"broker_url": celery_url(nowhere / "r.sock")})
        queued(database)
        broker = producer(away)
        with pytest.raises(Unreachable):
            sweep_once(database, broker, resend_after=15.0)
        broker.close()
        queued(database)
        with caplog.at_level(logging.WARNING), sweeping(away):
            wait_for_line(caplog, "sweep skipped")


def test_a_database_that_is_away_is_waited_for(
    settings: Settings, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    away = settings.model_copy(
        update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/none"}
    )
    with caplog.at_level(logging.WARNING), sweeping(away):
        wait_for_line(caplog, "sweep skipped")


def test_a_database_of_another_revision_is_refused(settings: Settings, home: Path) -> None:
    empty = settings.model_copy(update={"database_url": f"sqlite:///{home}/empty.db"})
    with pytest.raises(InvalidSettings, match="holdfast migrate"):
        sweep(empty, threading.Event())


def wait_for_line(caplog: pytest.LogCaptureFixture, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_content_is_pruned_at_the_start_and_not_again_the_same_day(
    settings: Settings, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    aged = settings.model_copy(update={"keep_answers_days": 30})
    add_answers(database, "d", "abc", days=31)
    with caplog.at_level(logging.INFO), sweeping(aged):
        wait_for_line(caplog, "pruned answers=")
        add_answers(database, "d", "de", days=31)
        job_id = queued(database)
        with transaction(database) as session:
            past = datetime.now(UTC) - timedelta(seconds=1)
            moved = {"status": "running", "lease_expires_at": past}
            session.execute(update(JobRow).where(JobRow.id == job_id).values(moved))
        wait_for_line(caplog, "requeued=1")  # a round later
    assert caplog.text.count("pruned answers=") == 1
    assert count(database, AnswerRow) == 2


def test_a_verdict_whose_waiver_is_over_is_decided_anew(
    settings: Settings, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    add_checkpoint(database, "c")
    add_policy(database, "pol")
    evaluation = add_judged(database, days=1)
    waived = "waivers: [{check: harm.direct, owner: ann, reason: r, expires: 2026-12-31}]"
    policy = parse_policy(f"{POLICY}{waived}", source="p")
    files = {name: gather(manifest(name), findings) for name, findings in SIDES.items()}
    verdict = decide(policy, files["baseline"], files["candidate"])
    assert verdict.verdict == "pass"
    with transaction(database) as session:
        session.execute(update(PolicyText).values(text=POLICY))
        row = get_evaluation(session, evaluation)
        row.verdict, row.verdict_document = "pass", verdict.to_json().decode()
        row.waived_until = datetime.now(UTC) - timedelta(days=1)
    with caplog.at_level(logging.INFO), sweeping(settings):
        wait_for_line(caplog, f"decided {evaluation} anew")


def test_without_an_age_nothing_is_pruned(
    settings: Settings, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    add_answers(database, "d", "abc", days=9_000)
    job_id = queued(database)
    past = datetime.now(UTC) - timedelta(seconds=1)
    with transaction(database) as session:
        moved = {"status": "running", "lease_expires_at": past}
        session.execute(update(JobRow).where(JobRow.id == job_id).values(moved))
    with caplog.at_level(logging.INFO), sweeping(settings):
        wait_for_line(caplog, "requeued=1")
    assert "pruned" not in caplog.text
    assert count(database, AnswerRow) == 3


def test_what_cannot_be_pruned_is_a_warning_and_sweeping_goes_on(
    settings: Settings, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    add_checkpoint(database, "c")
    add_policy(database, "pol")
    evaluation = add_judged(database, days=31)
    (settings.home / "archive").write_text("in the way")
    aged = settings.model_copy(update={"keep_trials_days": 30})
    with caplog.at_level(logging.WARNING), sweeping(aged):
        wait_for_line(caplog, f"not pruned: {evaluation} keeps its trials")
