"""What follows a repair that came to nothing, whoever sees its end."""

import pytest
from sqlalchemy import Engine

from holdfast.db.evaluations import remediations_of
from holdfast.db.session import reading, transaction
from holdfast.db.tables import PolicyText
from holdfast.job import MAX_ATTEMPTS, Status
from holdfast.queue import producer
from holdfast.settings import Settings
from holdfast.stack.sweeper import sweep_once
from tests.holdfast.db.rows import (
    add_checkpoint,
    add_evaluation,
    add_policy,
    add_remediation,
    ago,
    change_job,
    job_of,
)

POLICY = """\
version: 1
name: two
checks: {harm.direct: {metric: attack_success_rate, max_regression: 0.1}}
remediation: {on_fail: auto, recipes: [wise_ft, ptst], budget: {minutes: 20, candidates: 2}}
"""


@pytest.fixture
def failed(database: Engine) -> str:
    """An evaluation that is over, under a policy with two recipes."""
    add_checkpoint(database, "c")
    add_policy(database, "pol")
    with transaction(database) as session:
        session.get_one(PolicyText, "pol").text = POLICY
    evaluation = add_evaluation(database)
    change_job(database, evaluation, status=Status.SUCCEEDED.value)
    return evaluation


def swept(database: Engine, settings: Settings) -> None:
    broker = producer(settings)
    sweep_once(database, broker, resend_after=15.0)
    broker.close()


def recipes(database: Engine, evaluation: str) -> list[str]:
    with reading(database) as session:
        return [repair.recipe for repair in remediations_of(session, evaluation)]


@pytest.mark.parametrize("end", ["lost", "late", "canceled"])
def test_a_repair_that_the_sweeper_ends_is_followed_by_the_next_recipe(
    database: Engine, settings: Settings, failed: str, end: str
) -> None:
    repair = add_remediation(database, failed)
    running = {"status": Status.RUNNING.value, "started_at": ago(9), "lease_expires_at": ago(1)}
    why = {
        "lost": {"losses": MAX_ATTEMPTS},
        "late": {"deadline_at": ago(1)},
        "canceled": {"cancel_requested_at": ago(1)},
    }
    change_job(database, repair, **running, **why[end])
    swept(database, settings)
    assert recipes(database, failed) == ["wise_ft"] + ["ptst"] * (end != "canceled")


def test_a_job_that_nothing_can_follow_keeps_no_other_from_being_swept(
    database: Engine, settings: Settings, failed: str
) -> None:
    add_policy(database, "damaged")  # its text is empty
    other = add_evaluation(database, policy_id="damaged")
    repairs = [add_remediation(database, evaluation) for evaluation in (other, failed)]
    running = {"status": Status.RUNNING.value, "started_at": ago(9), "lease_expires_at": ago(1)}
    for repair in repairs:
        change_job(database, repair, **running, losses=MAX_ATTEMPTS)
    swept(database, settings)
    assert [job_of(database, repair).status for repair in repairs] == ["failed", "failed"]
    assert recipes(database, other) == ["wise_ft"]
    assert recipes(database, failed) == ["wise_ft", "ptst"]


def test_a_try_that_the_sweeper_ends_wakes_its_ladder(
    database: Engine, settings: Settings, failed: str
) -> None:
    ladder = add_remediation(database, failed, recipe="auto")
    change_job(database, ladder, not_before=ago(-3600), started_at=ago(60))
    attempt = add_remediation(database, failed, parent_id=ladder)
    running = {"status": Status.RUNNING.value, "started_at": ago(9), "lease_expires_at": ago(1)}
    change_job(database, attempt, **running, losses=MAX_ATTEMPTS)
    swept(database, settings)
    assert job_of(database, ladder).not_before is None
    assert recipes(database, failed) == ["auto"], "the ladder says what comes next"
