"""Ends that are no verdict: canceled, timed out, failed; each says so, and leaves no process."""

from datetime import UTC, datetime

import pytest

from holdfast.db.session import transaction
from holdfast.db.tables import JobRow
from holdfast.errors import NotFound
from holdfast.stack import stack_file
from tests.support.fleet import Fleet, eventually

pytestmark = pytest.mark.timeout(900)

POLICY = """\
version: 1
name: harm-only
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
CANCEL_SECONDS = 10.0


@pytest.fixture
def fleet(sqlite_fleet: Fleet) -> Fleet:
    sqlite_fleet.have_workers(1)
    return sqlite_fleet


def running_for_ever(fleet: Fleet) -> str:
    """An evaluation that is running, its engine asleep in an answer."""
    evaluation = fleet.submit(fleet.model(seconds_per_answer=3600), fleet.model(), POLICY)
    events = fleet.client.events(evaluation)
    next(one for one in events if one.document.get("side") == "baseline")
    assert fleet.engines()
    return evaluation


def still_alive(processes: dict[int, str]) -> list[int]:
    return [pid for pid, born in processes.items() if stack_file.birth(pid) == born]


def assert_nothing_is_left(fleet: Fleet, processes: dict[int, str]) -> None:
    eventually(lambda: not still_alive(processes), "the end of the engine's tree")
    assert fleet.engines() == {}


def test_a_running_evaluation_is_canceled_within_ten_seconds(fleet: Fleet) -> None:
    evaluation = running_for_ever(fleet)
    tree = fleet.engines()
    fleet.client.cancel(evaluation)
    ended = fleet.ended(evaluation, CANCEL_SECONDS)
    assert (ended.status, ended.verdict) == ("canceled", None)
    assert_nothing_is_left(fleet, tree)


def test_an_evaluation_past_its_deadline_is_timed_out(fleet: Fleet) -> None:
    evaluation = running_for_ever(fleet)
    tree = fleet.engines()
    with transaction(fleet.database) as session:
        session.get_one(JobRow, evaluation).deadline_at = datetime.now(UTC)
    ended = fleet.ended(evaluation)
    assert (ended.status, ended.verdict) == ("timed_out", None)
    assert_nothing_is_left(fleet, tree)


def test_an_engine_that_crashes_every_time_fails_the_job_after_three(fleet: Fleet) -> None:
    crashing = fleet.model(seconds_per_answer=1e300)  # more than a clock holds
    ended = fleet.ended(fleet.submit(crashing, fleet.model(), POLICY))
    assert (ended.status, ended.verdict, ended.attempts) == ("failed", None, 3)
    assert ended.error is not None
    assert ended.error.startswith("EngineFailed: ")
    assert "engine.log" in ended.error
    kinds = [event.kind for event in fleet.events(ended.id)]
    assert (kinds.count("claimed"), kinds.count("requeued")) == (3, 2)
    with pytest.raises(NotFound, match="no verdict"):
        fleet.client.verdict(ended.id)
    # the worker is none the worse for it
    assert fleet.ended(fleet.submit(fleet.model(), fleet.model(), POLICY)).verdict == "pass"


def test_a_checkpoint_that_changes_after_registration_fails_in_one_sentence(fleet: Fleet) -> None:
    baseline, candidate = fleet.model(), fleet.model()
    known = fleet.client.register_checkpoint(str(candidate))
    weights = candidate / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    ended = fleet.ended(fleet.submit(known.id, baseline, POLICY))
    assert (ended.status, ended.verdict, ended.attempts) == ("failed", None, 1)
    assert ended.error is not None
    assert ended.error.startswith("CheckpointRefused: ")
    assert known.digest in ended.error
    assert "\n" not in ended.error


def test_a_failed_evaluation_can_be_retried_once_it_is_mended(fleet: Fleet) -> None:
    candidate = fleet.model()
    known = fleet.client.register_checkpoint(str(candidate))
    moved = candidate.rename(candidate.with_name("elsewhere"))
    ended = fleet.ended(fleet.submit(known.id, fleet.model(), POLICY))
    assert ended.status == "failed"
    moved.rename(candidate)
    fleet.client.retry(ended.id)
    again = fleet.ended(ended.id)
    assert (again.status, again.verdict, again.error) == ("succeeded", "pass", None)
