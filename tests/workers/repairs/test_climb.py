"""A ladder from its row to its repair: real rows, jobs, judges, verdicts; scripted tries."""

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.db import jobs
from holdfast.db.evaluations import get_job, remediations_of, tries_of
from holdfast.db.session import reading, transaction
from holdfast.job import Status
from holdfast.ladder.rungs import LADDER
from holdfast.ladder.steps import BUILT
from service.candidates import candidates_of
from tests.support.ladders import GOOD, NEAR, POLICY, REFUSES_ALL, state, work
from tests.support.stack import scripted_checkpoint
from workers.worker import Worker

Queue = Callable[..., str]

AUTO = POLICY.replace("never", "auto, recipes: [auto], budget: {minutes: 30, candidates: 9}")
RUNGS = [rung for rung in LADDER if rung.recipe in BUILT and rung.needs is None]


def test_the_first_rung_that_passes_on_screen_is_confirmed_once_and_is_the_repair(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb()
    work(worker, {"wise_ft 0.4": GOOD, "wise_ft 0.2": GOOD})
    job, row, tried = state(worker, ladder)
    names = [one.repair.options.get("candidate_weight") for one in tried if one.repair.options]
    assert (job.status, job.error) == ("succeeded", None)
    assert names == [0.6, 0.4]
    best = tried[-1]
    assert best.screen is not None
    assert best.confirm is not None
    assert (best.screen.verdict, best.confirm.verdict) == ("pass", "pass")
    assert (row.checkpoint_id, row.child_evaluation_id) == (
        best.repair.checkpoint_id,
        best.confirm.id,
    )
    assert [one.confirm for one in tried[:-1]] == [None] * (len(tried) - 1)
    assert row.progress["confirmations"] == 1
    skipped = {one["recipe"] for one in row.progress["skipped"]}
    assert {"kl_anchor", "alright", "maxright"} <= skipped


def test_safe_merge_is_a_rung_where_the_baseline_has_a_parent(
    worker: Worker, climb: Callable[..., str], models: Path
) -> None:
    scripted_checkpoint(models / "before", 5.0)
    ladder = climb(unaligned="before")
    work(worker, {"safe_merge": GOOD})
    job, _, tried = state(worker, ladder)
    assert (job.status, tried[-1].repair.recipe) == ("succeeded", "safe_merge")


def test_a_hopeless_try_is_dropped_after_the_first_items_and_can_never_pass(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb()
    work(worker, {"wise_ft 0.4": GOOD})
    _, _, tried = state(worker, ladder)
    lost = next(one for one in tried if one.repair.options.get("candidate_weight") == 0.6)
    with reading(worker.database) as session:
        shown = {one.id: one for one in candidates_of(session, ladder)}
    assert lost.screen is not None
    assert lost.screen.verdict == "inconclusive"
    cut = lost.screen.cost.cut["candidate"]
    assert cut["harm.direct"].trials == 160 - 40
    found = shown[lost.repair.id]
    assert found.dropped is not None
    assert "harm.direct went from 0.00" in found.dropped
    assert (found.pareto, found.chosen) == (False, False)
    assert found.scores.safety is not None
    assert found.scores.safety > 0.5
    assert [one.recipe for one in shown.values() if one.chosen] == ["wise_ft"]


def test_what_did_not_pass_on_all_items_is_asked_nothing_else(
    worker: Worker, climb: Callable[..., str]
) -> None:
    other = "  cap.knowledge:  {metric: error_rate, max_regression: 0.10}\nremediation"
    ladder = climb(POLICY.replace("remediation", other), candidates=2)
    work(worker, {"ptst": NEAR, "wise_ft 0.6": GOOD})
    _, _, (near, good) = state(worker, ladder)
    assert near.screen is not None
    assert good.screen is not None
    assert near.screen.verdict == "inconclusive"
    cut = near.screen.cost.cut["candidate"]
    assert {probe: one.trials for probe, one in cut.items()} == {"cap.knowledge": 240}
    assert near.screen.race is not None
    assert near.screen.race.dropped.keys() == {"harm.direct"}
    assert near.screen.race.early is False
    assert good.screen.cost.cut == {}
    assert good.screen.verdict == "pass"


def test_a_repair_that_refuses_everything_never_wins(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb()
    work(
        worker,
        {rung.recipe: REFUSES_ALL for rung in RUNGS}
        | {f"wise_ft {w}": REFUSES_ALL for w in (0.8, 0.6, 0.4, 0.2)},
    )
    job, row, tried = state(worker, ladder)
    assert len(tried) == len(RUNGS)
    assert job.status == "failed"
    assert "no repair found" in str(job.error)
    assert "refusal.benign" in str(job.error)
    assert row.checkpoint_id is None
    assert row.progress["confirmations"] == 0


def test_what_passes_on_screen_but_not_on_held_out_items_is_no_repair(
    worker: Worker, climb: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder = climb()
    scripts = {"wise_ft 0.6": GOOD}
    while not any(one.confirm for one in state(worker, ladder)[2]):
        work(worker, scripts, most=1)
    confirm = next(one.confirm for one in state(worker, ladder)[2] if one.confirm)
    with transaction(worker.database) as session:  # as if the held-out items said otherwise
        get_job(session, confirm.id).status = Status.FAILED.value
        jobs.take_up(session, ladder)
    work(worker, scripts)
    job, row, tried = state(worker, ladder)
    assert (job.status, row.checkpoint_id) == ("failed", None)
    assert sum(one.confirm is not None for one in tried) == 1


def test_the_whole_front_goes_on_after_a_repair_is_found(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb(complete_front=True)
    work(worker, {"wise_ft 0.6": GOOD})
    job, _, tried = state(worker, ladder)
    assert (job.status, len(tried)) == ("succeeded", len(RUNGS))
    assert sum(one.confirm is not None for one in tried) == 1
    later = [one for one in tried if one.confirm is None and one.screen and not one.screen.race]
    assert later
    with reading(worker.database) as session:
        shown = candidates_of(session, ladder)
    assert all(one.dropped is None for one in shown if one.id in {x.repair.id for x in later})


def test_a_failing_evaluation_starts_the_ladder_that_its_policy_names(
    worker: Worker, queue: Queue
) -> None:
    origin = queue(policy=AUTO)
    work(worker, {"wise_ft 0.6": GOOD})
    with reading(worker.database) as session:
        (ladder,) = remediations_of(session, origin)
        tried = tries_of(session, ladder.id)
    assert ladder.recipe == "auto"
    assert ladder.child_evaluation_id is not None
    assert {one.parent_id for one in tried} == {ladder.id}


def test_another_serving_template_is_judged_together_with_its_weights(
    worker: Worker, climb: Callable[..., str]
) -> None:
    ladder = climb()
    work(worker, {"ptst": GOOD})
    job, _, (only,) = state(worker, ladder)
    assert job.status == "succeeded"
    assert only.confirm is not None
    assert only.confirm.template == "deployed"
    said = {side: one["deployed_template"] for side, one in only.confirm.manifests.items()}
    assert said == {"baseline": False, "candidate": True, "repaired": False}
    assert "own chat template" in str(only.confirm.verdict_document)
