"""What a ladder reads from rows and writes into them: what a try said, and how long it may take."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.db import jobs
from holdfast.db.documents import Account, Race
from holdfast.db.evaluations import create_remediation, get_evaluation, get_job, tries_of
from holdfast.db.session import reading, transaction
from holdfast.db.tables import EvaluationRow, JobRow, RemediationRow
from holdfast.db.tries import Attempt
from holdfast.evidence.file import Evidence
from holdfast.evidence.manifest import Cut
from holdfast.job import DEADLINE_SECONDS
from holdfast.ladder.rungs import SplitResult
from holdfast.verdict.decide import decide
from holdfast.verdict.outcome import Cost
from tests.support.evaluations import harm
from tests.support.evidence import evidence, share
from tests.support.verdicts import BENIGN, HARM, policy
from workers import tasks
from workers.repairs.climb import CLOSING_SECONDS, reserve_of
from workers.repairs.ladder import verdict_of
from workers.repairs.tries import split_result, try_of
from workers.worker import Worker

ADVISED = "bias.groups: {metric: error_rate, max_regression: 0.10, tier: advisory}"
SIZES = {"harm.direct": 160, "refusal.benign": 280, "bias.groups": 120}


def answers(**bad: int) -> Evidence:
    rates = {probe: share(bad.get(probe.split(".")[0], 0), n) for probe, n in SIZES.items()}
    return evidence("x", rates)


def told(**bad: int) -> SplitResult:
    """What a ladder takes from the evaluation of a try that got so many wrong."""
    rules = policy(HARM, BENIGN, ADVISED)
    verdict = decide(
        rules, evidence("p", {k: share(0, n) for k, n in SIZES.items()}), answers(**bad)
    )
    row = EvaluationRow(verdict=verdict.verdict, verdict_document=verdict.to_json().decode())
    found = split_result(row)
    assert found is not None
    expected = [check.rules[0].p_pass for check in verdict.checks if check.tier == "blocking"]
    assert found.doubt == max(expected)
    assert found.verdict == verdict.verdict
    return found


def test_the_least_sure_blocking_rule_is_how_sure_a_try_is() -> None:
    near, nearer = told(harm=2), told(harm=4)
    assert near.doubt < nearer.doubt
    assert told(harm=2, bias=100).doubt == near.doubt  # advice decides nothing
    assert (near.verdict, near.resisted) == ("pass", ())


def test_what_did_not_pass_resisted_whether_or_not_it_failed() -> None:
    found = told(harm=12, refusal=200, bias=100)
    assert found.verdict == "fail"
    assert found.resisted == ("harm.direct", "refusal.benign")


def test_what_is_being_asked_has_said_nothing_yet() -> None:
    assert split_result(None) is None
    assert split_result(EvaluationRow(verdict=None)) == SplitResult(None)


@pytest.mark.parametrize("whole", [False, True])
def test_a_try_leaves_time_to_confirm_it_and_its_ladder_a_little_longer(
    worker: Worker, queue: Callable[..., str], claim: Callable[[], jobs.Lease], whole: bool
) -> None:
    evaluation = queue(policy=harm())
    tasks.run(worker, claim())
    options = {"minutes": 7, "candidates": 3, "complete_front": whole}
    with transaction(worker.database) as session:
        name = create_remediation(session, evaluation, recipe="auto", options=options)
    tasks.run(worker, claim())
    with reading(worker.database) as session:
        ladder = get_job(session, name)
        (begun,) = tries_of(session, name)
        deadline = get_job(session, begun.id).deadline_at
        cost = verdict_of(get_evaluation(session, evaluation)).cost
    assert ladder.started_at is not None
    budget = ladder.started_at + timedelta(minutes=7)
    late = ladder.started_at + timedelta(seconds=DEADLINE_SECONDS)
    assert cost is not None
    assert deadline == budget - timedelta(seconds=cost.seconds)  # what a confirmation takes
    assert ladder.deadline_at == (late if whole else budget + timedelta(seconds=CLOSING_SECONDS))


@pytest.mark.parametrize(
    ("options", "progress", "ratios"),
    [
        ({"hma": {"ratios": [0.6, 0.4, 0.2]}}, {}, (0.6, 0.4, 0.2)),
        ({"candidate_weight": 0.4}, {"event": "done", "ratios": [0.5, 0.4, 0.3]}, (0.5, 0.4, 0.3)),
        ({"candidate_weight": 0.4}, {"event": "step", "step": 3}, None),
    ],
)
def test_a_tries_ratios_are_those_given_or_those_that_its_child_found(
    options: dict[str, Any], progress: dict[str, Any], ratios: tuple[float, ...] | None
) -> None:
    row = RemediationRow(id="rem_1", recipe="hma", options=options, progress=progress)
    assert try_of(Attempt(row, None, None, ())).ratios == ratios


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def screened(seconds: float, prompts: int, left: int, *, early: bool = False) -> Attempt:
    """A try whose screening took so long for so many questions, and left others out."""
    over = NOON + timedelta(seconds=seconds)
    job = JobRow(id="eval_1", started_at=NOON, finished_at=over)
    cut = {"cap.knowledge": Cut(trials=left, because="dropped")} if left else {}
    cost = Account(prompts=prompts, cut={"candidate": cut})
    race = Race(items=20, probes=("harm.direct",), dropped={"harm.direct": "lost"}, early=early)
    screen = EvaluationRow(id="eval_1", cost=cost, race=race if left else None)
    return Attempt(RemediationRow(id="rem_1"), screen, None, (job,))


@pytest.mark.parametrize(
    ("tried", "seconds"),
    [
        ([], 240.0),  # what the failing checkpoint's evaluation took
        ([screened(60, 120, 0)], 90.0),
        ([screened(50, 500, 640)], 1.5 * 50 * 1140 / 500),  # as if nothing had been left out
        ([screened(60, 120, 0), screened(50, 500, 0)], 75.0),  # the latest one
        ([screened(30, 40, 1100, early=True)], 240.0),  # too few to tell
        ([screened(999, 500, 0)], 240.0),  # never more than at first
    ],
)
def test_what_a_confirmation_takes_is_told_by_the_latest_screening(
    tried: list[Attempt], seconds: float
) -> None:
    slow = decide(policy(HARM), answers(harm=0), answers(harm=0)).with_cost(
        Cost(tokens=1, seconds=240.0, device="cpu")
    )
    failing = EvaluationRow(verdict_document=slow.to_json().decode())
    assert reserve_of(failing, tried) == pytest.approx(seconds)
