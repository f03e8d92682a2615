"""Messages are hints: none that is lost, doubled or late loses or doubles any work."""

from pathlib import Path

import pytest
import redis
from sqlalchemy import func, select

from holdfast.db.session import reading
from holdfast.db.tables import TrialRow
from holdfast.queue import broker_state, producer, send_hint
from tests.support.fleet import Fleet

pytestmark = pytest.mark.timeout(900)

POLICY = """\
version: 1
name: harm-only
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
ITEMS = 160  # of harm.direct at tier demo


def trials(fleet: Fleet, evaluation: str) -> int:
    query = select(func.count()).where(TrialRow.evaluation_id == evaluation)
    with reading(fleet.database) as session:
        return session.execute(query).scalar_one()


def test_jobs_that_were_queued_when_redis_lost_everything_all_finish(
    sqlite_fleet: Fleet, broker_socket: Path
) -> None:
    fleet = sqlite_fleet
    fleet.have_workers(1)
    baseline = fleet.model()
    jobs = [fleet.submit(fleet.model(), baseline, POLICY) for _ in range(6)]
    with redis.Redis(unix_socket_path=str(broker_socket)) as client:
        client.flushall()
    for job in jobs:
        ended = fleet.ended(job)
        assert (ended.status, ended.verdict, ended.attempts) == ("succeeded", "pass", 1)
        assert trials(fleet, job) == 2 * ITEMS


def test_twenty_messages_for_one_job_are_one_attempt(sqlite_fleet: Fleet) -> None:
    fleet = sqlite_fleet
    fleet.have_workers(2)
    slow = fleet.model(seconds_per_answer=0.01)
    job = fleet.submit(slow, fleet.model(), POLICY)
    broker = producer(fleet.settings)
    assert broker_state(broker) == "up"
    for _ in range(20):
        send_hint(broker, fleet.settings.queue)
    broker.close()
    ended = fleet.ended(job)
    assert (ended.status, ended.attempts) == ("succeeded", 1)
    assert [event.kind for event in fleet.events(job)].count("claimed") == 1
    assert trials(fleet, job) == 2 * ITEMS
