"""How a ladder ends before its time, and goes on after a kill: budget, lost worker, cancel."""

from collections.abc import Callable
from datetime import timedelta

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation, get_job, get_remediation
from holdfast.db.session import transaction
from holdfast.db.sweep import sweep_jobs
from holdfast.job import Status
from holdfast.ladder.rungs import LADDER
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import Cost
from tests.support.ladders import GOOD, state, told, work
from workers.worker import Worker


def test_a_worker_lost_in_mid_ladder_repeats_no_finished_try(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb()
    scripts = {"wise_ft 0.4": GOOD}
    while len([one for one in state(worker, ladder)[2] if one.screen]) < 2:
        work(worker, scripts, most=1)
    before = [one.repair.id for one in state(worker, ladder)[2]]
    with transaction(worker.database) as session:  # lost while it held the ladder itself
        jobs.take_up(session, ladder)
        job = get_job(session, ladder)
        job.status, job.lease_owner = Status.RUNNING.value, "lost"
        job.lease_expires_at = jobs.now(session) - timedelta(seconds=1)
        assert sweep_jobs(session).requeued == 1
    work(worker, scripts)
    job, _, tried = state(worker, ladder)
    assert job.status == "succeeded"
    assert [one.repair.id for one in tried][: len(before)] == before
    for one in tried:
        assert len(told(worker, one.repair.id, "repaired")) == 1
    assert len({one.repair.options.get("candidate_weight") for one in tried}) == len(tried)


def test_a_budget_too_small_for_one_try_ends_in_one_sentence(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb(minutes=1)
    with transaction(worker.database) as session:
        failing = get_evaluation(session, get_remediation(session, ladder).evaluation_id)
        verdict = Verdict.model_validate_json(str(failing.verdict_document))
        slow = verdict.with_cost(Cost(tokens=1, seconds=240.0, device="cpu"))
        failing.verdict_document = slow.to_json().decode()
    work(worker, {})
    job, _, tried = state(worker, ladder)
    assert (job.status, tried) == ("failed", [])
    assert "too small for one try" in str(job.error)
    assert "4.0 minutes" in str(job.error)


def test_the_candidates_of_the_budget_are_all_that_are_tried(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb(candidates=2)
    work(worker, {})
    job, _, tried = state(worker, ladder)
    assert (job.status, len(tried)) == ("failed", 2)
    assert "budget of 2 candidates" in str(job.error)


def test_a_single_try_needs_no_screening(worker: Worker, climb: Callable[..., str]) -> None:
    ladder = climb(candidates=1)
    work(worker, {LADDER[0].recipe: GOOD, "wise_ft 0.6": GOOD})
    job, _, (only,) = state(worker, ladder)
    assert (job.status, only.screen) == ("succeeded", None)
    assert only.confirm is not None


def test_a_canceled_ladder_takes_no_further_step(worker: Worker, climb: Callable[..., str]) -> None:
    ladder = climb()
    work(worker, {}, most=1)
    with transaction(worker.database) as session:
        jobs.request_cancel(session, ladder)
    work(worker, {})
    job, _, tried = state(worker, ladder)
    assert (job.status, len(tried)) == ("canceled", 1)
