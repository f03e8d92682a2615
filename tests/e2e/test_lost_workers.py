"""Workers that are killed, stopped, paused: every accepted job ends in one verdict, once."""

import os
import signal
from collections import Counter

import pytest
from sqlalchemy import func, select, text

from holdfast.db.migrate import head_revision
from holdfast.db.session import reading, transaction
from holdfast.db.tables import JobRow, TrialRow
from tests.support.fleet import Fleet, Started, eventually

pytestmark = pytest.mark.timeout(900)

POLICY = """\
version: 1
name: harm-only
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
ITEMS = 160  # of harm.direct at tier demo
HAND_OVER_SECONDS = 30.0  # promised: 10; this is a loaded machine


@pytest.fixture
def fleet(postgres_fleet: Fleet) -> Fleet:
    return postgres_fleet


def submit_slow(fleet: Fleet) -> str:
    """An evaluation whose candidate takes at least eight seconds to answer."""
    return fleet.submit(fleet.model(seconds_per_answer=0.05), fleet.model(), POLICY)


def pool_child(fleet: Fleet, evaluation: str) -> int:
    """The process that holds the job's lease."""
    with reading(fleet.database) as session:
        return int(str(session.get_one(JobRow, evaluation).lease_owner).rpartition(":")[2])


def holder(fleet: Fleet, evaluation: str) -> Started:
    """The worker of the fleet that holds the job's lease."""
    child = pool_child(fleet, evaluation)
    return next(one for one in fleet.workers if child in one.session)


def saved(fleet: Fleet, evaluation: str) -> Counter[tuple[str, int]]:
    """How many trials there are of a side, by the epoch of the lease that wrote them."""
    query = (
        select(TrialRow.side, TrialRow.lease_epoch, func.count())
        .where(TrialRow.evaluation_id == evaluation)
        .group_by(TrialRow.side, TrialRow.lease_epoch)
    )
    with reading(fleet.database) as session:
        return Counter({(side, epoch): count for side, epoch, count in session.execute(query)})


def claims(fleet: Fleet, evaluation: str) -> int:
    """How often a worker has taken the job."""
    with reading(fleet.database) as session:
        return session.get_one(JobRow, evaluation).lease_epoch


def in_the_middle(fleet: Fleet, evaluation: str) -> None:
    """Wait until some of the candidate's trials are saved."""
    eventually(lambda: saved(fleet, evaluation)["candidate", 1] > 20, "trials of the candidate")


def assert_whole_and_once(fleet: Fleet, evaluation: str) -> None:
    """One verdict, every item once on each side, and nothing that was saved was asked again."""
    ended = fleet.ended(evaluation)
    assert (ended.status, ended.verdict, ended.error) == ("succeeded", "pass", None)
    kinds = Counter(event.kind for event in fleet.events(evaluation))
    assert kinds["verdict"] == kinds["succeeded"] == 1
    sides: Counter[str] = Counter()
    for (side, _), count in saved(fleet, evaluation).items():
        sides[side] += count
    assert sides == {"baseline": ITEMS, "candidate": ITEMS}
    assert ended.cost["tokens"] == fleet.tokens_answered(ended.candidate, ended.baseline)


def test_another_worker_resumes_from_the_last_saved_trial_of_a_killed_one(fleet: Fleet) -> None:
    (first,) = fleet.have_workers(1)
    evaluation = submit_slow(fleet)
    in_the_middle(fleet, evaluation)
    trees = fleet.engines()
    first.kill()
    kept = saved(fleet, evaluation)["candidate", 1]
    fleet.have_workers(1)
    assert_whole_and_once(fleet, evaluation)
    after = saved(fleet, evaluation)
    assert after["baseline", 1] == ITEMS
    assert kept <= after["candidate", 1] < ITEMS
    assert after["candidate", 2] == ITEMS - after["candidate", 1]
    assert fleet.client.evaluation(evaluation).attempts == 2
    assert not trees.items() & fleet.engines().items()  # the guard ended the orphaned tree


def test_a_killed_pool_child_is_replaced_and_its_job_goes_on(fleet: Fleet) -> None:
    (worker,) = fleet.have_workers(1)
    evaluation = submit_slow(fleet)
    in_the_middle(fleet, evaluation)
    child = pool_child(fleet, evaluation)
    assert child != worker.process.pid
    os.kill(child, signal.SIGKILL)
    assert_whole_and_once(fleet, evaluation)
    assert worker.process.poll() is None


def test_a_worker_that_is_asked_to_stop_hands_its_job_over_within_seconds(fleet: Fleet) -> None:
    fleet.have_workers(2)
    evaluation = submit_slow(fleet)
    in_the_middle(fleet, evaluation)
    first = holder(fleet, evaluation)
    first.process.terminate()
    eventually(lambda: claims(fleet, evaluation) == 2, "a second claim", HAND_OVER_SECONDS)
    assert first.process.wait(HAND_OVER_SECONDS) == 0
    assert_whole_and_once(fleet, evaluation)
    assert fleet.client.evaluation(evaluation).attempts == 1  # a hand-over is nobody's fault
    assert "handed over" in first.log.read_text()


def test_a_zombie_that_wakes_up_past_its_lease_writes_nothing(fleet: Fleet) -> None:
    fleet.have_workers(2)
    evaluation = submit_slow(fleet)
    in_the_middle(fleet, evaluation)
    zombie = holder(fleet, evaluation)
    zombie.signal(signal.SIGSTOP)
    try:
        before = saved(fleet, evaluation)["candidate", 1]
        assert_whole_and_once(fleet, evaluation)
    finally:
        zombie.signal(signal.SIGCONT)
    eventually(lambda: "stopped: " in zombie.log.read_text(), "the zombie's notice")
    after = saved(fleet, evaluation)
    assert after["candidate", 1] == before
    assert after["candidate", 1] + after["candidate", 2] == ITEMS
    assert_whole_and_once(fleet, evaluation)
    # and it is good for the next job
    assert zombie.process.poll() is None
    for one in [one for one in fleet.workers if one is not zombie]:
        fleet.dismiss(one)
    assert fleet.ended(submit_slow(fleet)).verdict == "pass"


def set_revision(fleet: Fleet, revision: str) -> None:
    with transaction(fleet.database) as session:
        session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})


def test_a_worker_of_an_old_version_gives_its_job_back_and_ends(fleet: Fleet) -> None:
    """What it would write may not fit any more: a migrated database is another version's."""
    (old,) = fleet.have_workers(1)
    evaluation = submit_slow(fleet)
    in_the_middle(fleet, evaluation)
    set_revision(fleet, "9999")
    demanded = "ADD COLUMN new INTEGER, ADD CONSTRAINT known CHECK (new IS NOT NULL) NOT VALID"
    with transaction(fleet.database) as session:  # by the new version, which the old cannot know
        session.execute(text(f"ALTER TABLE trials {demanded}"))
    assert old.process.wait(HAND_OVER_SECONDS) == 0
    assert "its version is not the database's" in old.log.read_text()
    with reading(fleet.database) as session:
        job = session.get_one(JobRow, evaluation)
        assert (job.status, job.attempts, job.crash_count) == ("queued", 0, 0)
    with transaction(fleet.database) as session:
        session.execute(text("ALTER TABLE trials DROP COLUMN new"))
    set_revision(fleet, head_revision())
    fleet.have_workers(1)
    assert_whole_and_once(fleet, evaluation)
