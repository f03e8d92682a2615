"""What a killed repair left is removed once it has ended, and not a moment earlier."""

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.db import jobs
from holdfast.db.session import transaction
from holdfast.job import Status
from workers import tasks
from workers.repairs.leftovers import PAIRS, STATE, clear_ended
from workers.worker import Worker


@pytest.fixture
def queued(worker: Worker, remedy: Callable[..., jobs.Lease]) -> str:
    """A repair whose worker was killed: back in the queue, with all that its child left."""
    lease = remedy("wise_ft", {})
    with transaction(worker.database) as session:
        jobs.release(session, lease)
    home = worker.settings.home
    (home / "checkpoints" / f".{lease.job_id}.x.partial").mkdir(parents=True)
    (home / "checkpoints" / f"{lease.job_id}-adapter").mkdir()
    (home / "work" / lease.job_id / STATE).mkdir(parents=True)
    (home / "work" / lease.job_id / PAIRS).write_text("{}")
    (home / "work" / lease.job_id / "plan.json").write_text("{}")
    return lease.job_id


def left(home: Path) -> list[str]:
    return sorted(path.name for path in [*home.glob("checkpoints/*"), *home.glob("work/*/*")])


def test_nothing_goes_while_the_repair_may_go_on(worker: Worker, queued: str) -> None:
    before = left(worker.settings.home)
    clear_ended(worker)
    assert left(worker.settings.home) == before
    assert len(before) == 5


def test_a_repair_that_was_canceled_in_the_queue_leaves_its_plan_alone(
    worker: Worker, queued: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(worker.database) as session:
        assert jobs.request_cancel(session, queued)
    monkeypatch.setattr(tasks, "this_worker", lambda: worker)
    tasks.take_hint(worker.settings.queue)
    assert left(worker.settings.home) == ["plan.json"]


def test_a_checkpoint_and_the_adapter_kept_beside_it_stay(worker: Worker, queued: str) -> None:
    home = worker.settings.home
    (home / "checkpoints" / queued).mkdir()
    with transaction(worker.database) as session:
        lease = jobs.claim(session, queue="cpu", owner="w", seconds=30.0)
        assert lease is not None
        jobs.finish(session, lease, Status.SUCCEEDED)
    clear_ended(worker)
    assert left(home) == sorted([queued, f"{queued}-adapter", "plan.json"])


def test_what_belongs_to_no_known_job_is_not_touched(worker: Worker) -> None:
    strange = worker.settings.home / "checkpoints" / f".rem_{'0' * 32}.x.partial"
    strange.mkdir(parents=True)
    clear_ended(worker)
    assert strange.exists()
