"""A budget that is spent: what is left is cut, said so, and only ever leaves an answer open."""

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.db import jobs
from holdfast.db.evaluations import events_after, get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.trials import read_back
from holdfast.evidence.manifest import Cut, Manifest
from holdfast.policy.budget import Spent
from tests.support.evaluations import ITEMS, harm, verdict_of
from tests.support.stack import scripted_checkpoint
from workers.evaluation.case import load_case
from workers.evaluation.spending import (
    cuts_so_far,
    note_cut,
    remaining_prompts,
    spend,
    spent_so_far,
)
from workers.pipeline import evaluate
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]


@pytest.mark.parametrize(
    ("budget", "asked"),
    [
        ("{prompts: 200}", {"baseline": ITEMS, "candidate": 40}),
        ("{prompts: 100}", {"baseline": 100}),
    ],
)
def test_a_spent_budget_cuts_what_is_left_and_says_so(
    worker: Worker, queue: Queue, claim: Claim, budget: str, asked: dict[str, int]
) -> None:
    evaluation = queue(policy=f"{harm()}budget: {budget}\n")
    evaluate(worker, claim())
    verdict = verdict_of(worker, evaluation)
    assert verdict.verdict == "inconclusive"
    with reading(worker.database) as session:
        manifests = get_evaluation(session, evaluation).manifests
        files = {
            side: read_back(session, evaluation, side, Manifest.model_validate(manifest))
            for side, manifest in manifests.items()
        }
        notes = [e.document for e in events_after(session, evaluation, 0) if e.kind == "note"]
    for side, file in files.items():
        told = [trial.reason for trial in file.trials if trial.badness is None]
        cut = ITEMS - asked.get(side, 0)
        assert len(file.trials) == ITEMS
        assert told == [f"not asked: the budget of {budget[10:13]} prompts is spent"] * cut
        plan = file.manifest.plan["harm.direct"].cut
        assert (plan.trials if plan else 0) == cut
        assert sum(note["not_asked"] for note in notes if note["side"] == side) == cut
    assert "prompts is spent" in verdict.checks[0].reason
    assert verdict.warnings


def test_what_is_in_the_cache_is_in_no_budget(worker: Worker, queue: Queue, claim: Claim) -> None:
    queue(policy=harm())
    evaluate(worker, claim())
    evaluation = queue(policy=f"{harm()}budget: {{prompts: 1, tokens: 1, minutes: 1}}\n")
    evaluate(worker, claim())
    assert verdict_of(worker, evaluation).verdict == "fail"


def test_tokens_that_run_out_end_the_asking_in_mid_stream(
    worker: Worker, queue: Queue, claim: Claim, models: Path
) -> None:
    slow = scripted_checkpoint(models / "slow", 4.0, seconds_per_answer=0.05)
    evaluation = queue("slow", slow.name, policy=f"{harm()}budget: {{tokens: 5}}\n")
    evaluate(worker, claim())
    with reading(worker.database) as session:
        cut = get_evaluation(session, evaluation).manifests["baseline"]["plan"]["harm.direct"][
            "cut"
        ]
    assert 0 < cut["trials"] < ITEMS
    assert "5 tokens" in cut["because"]
    assert not worker.engine.alive  # nothing else will be asked of it for this evaluation


def test_an_account_grows_and_outlives_the_worker_that_opened_it(
    worker: Worker, queue: Queue
) -> None:
    evaluation = queue(policy=f"{harm()}budget: {{prompts: 10, tokens: 30}}\n")
    case = load_case(worker, evaluation)
    with transaction(worker.database) as session:
        assert remaining_prompts(case, spend(session, case, Spent(3, 20, 1.5))) == 7
    with transaction(worker.database) as session:
        total = spend(session, case, Spent(4, 5, 0.25))
        assert total == spent_so_far(session, case) == Spent(7, 25, 1.75)
        assert remaining_prompts(case, total) == 3
        assert remaining_prompts(case, spend(session, case, Spent(1, 5, 0.0))) == 0  # of its tokens


def test_what_is_cut_adds_up_but_for_what_comes_whole_each_time(
    worker: Worker, queue: Queue
) -> None:
    evaluation = queue(policy=harm())
    case = load_case(worker, evaluation)
    with transaction(worker.database) as session:
        for trials in (3, 2):
            cut = Cut(trials=trials, because=f"{trials} were left")
            for probe in ("harm.direct", "task.retention"):
                note_cut(session, case, "candidate", probe, cut)
        found = cuts_so_far(session, case)["candidate"]
    assert {probe: cut.trials for probe, cut in found.items()} == {
        "harm.direct": 5,
        "task.retention": 2,
    }
    assert {cut.because for cut in found.values()} == {"2 were left"}
