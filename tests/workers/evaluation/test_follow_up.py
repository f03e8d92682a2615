"""What follows a verdict: the next recipe of the policy, proposed, or nothing at all."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from holdfast.db.evaluations import (
    create_remediation,
    remediations_of,
)
from holdfast.db.session import reading, transaction
from holdfast.db.tables import EventRow, JobRow
from holdfast.verdict.document import Verdict
from tests.support.evaluations import harm
from workers.evaluation.case import load_case
from workers.pipeline import follow_up
from workers.worker import Worker

Queue = Callable[..., str]


@pytest.mark.parametrize(
    ("on_fail", "candidates", "tried", "verdict", "next_recipe"),
    [
        ("auto", 2, [], "fail", "wise_ft"),
        ("auto", 2, ["wise_ft"], "fail", "rehearsal"),
        ("auto", 2, ["wise_ft"], "inconclusive", "rehearsal"),
        ("auto", 2, ["wise_ft"], "pass", None),
        ("auto", 1, ["wise_ft"], "fail", None),
        ("auto", 2, ["wise_ft", "rehearsal"], "fail", None),
        ("auto", 2, [], "inconclusive", None),
        ("auto", 2, [], "pass", None),
        ("propose", 2, [], "fail", None),
        ("never", 2, [], "fail", None),
    ],
)
def test_what_follows_a_verdict(
    on_fail: str,
    candidates: int,
    tried: list[str],
    verdict: str,
    next_recipe: str | None,
    worker: Worker,
    queue: Queue,
) -> None:
    policy = harm(on_fail, candidates)
    origin = current = queue(policy=policy)
    with transaction(worker.database) as session:
        made = [create_remediation(session, origin, recipe=one, options={}) for one in tried]
    if made:
        current = queue("aligned", policy=policy, remediation_id=made[-1])
    case = load_case(worker, current)
    with transaction(worker.database) as session:
        sides = Verdict.model_construct(verdict=verdict)
        wanted = follow_up(session, case, sides)
    with reading(worker.database) as session:
        recipes = [one.recipe for one in remediations_of(session, origin)]
        query = select(EventRow.kind).where(EventRow.job_id == origin)
        proposed = "remediation_proposed" in session.scalars(query).all()
    assert wanted == (next_recipe is not None)
    assert recipes == [*tried, *([next_recipe] if next_recipe else [])]
    assert proposed == (on_fail == "propose")


def test_a_repair_has_the_budget_of_its_policy(worker: Worker, queue: Queue) -> None:
    origin = queue(policy=harm("auto", 2))
    case = load_case(worker, origin)
    with transaction(worker.database) as session:
        assert follow_up(session, case, Verdict.model_construct(verdict="fail"))
    with reading(worker.database) as session:
        (repair,) = remediations_of(session, origin)
        job = session.get_one(JobRow, repair.id)
        minutes = case.policy.remediation.budget.minutes
        assert job.run_seconds == 60 * minutes
