"""Evaluations and repairs: queued whole or not at all, and how the rows find each other."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from holdfast.db import evaluations, jobs
from holdfast.db.session import reading, transaction
from holdfast.db.tables import EvaluationRow, JobRow, RemediationRow
from holdfast.errors import NotFound
from holdfast.ids import is_id
from holdfast.job import DEADLINE_SECONDS, WAITING_SECONDS, EventKind
from tests.holdfast.db.rows import (
    add_checkpoint,
    add_evaluation,
    add_remediation,
    change_job,
    claim,
    evaluation_fields,
    events_of,
    job_of,
)


def evaluation_of(database: Engine, evaluation_id: str) -> EvaluationRow:
    with reading(database) as session:
        return evaluations.get_evaluation(session, evaluation_id)


def remediation_of(database: Engine, remediation_id: str) -> RemediationRow:
    with reading(database) as session:
        return evaluations.get_remediation(session, remediation_id)


# --- evaluations ----------------------------------------------------------------------------


def test_a_new_evaluation_waits_and_has_been_announced(filled: Engine) -> None:
    evaluation = add_evaluation(filled, queue="gpu", priority=3)
    job = job_of(filled, evaluation)
    assert is_id(evaluation, "eval")
    assert (job.kind, job.status, job.project) == ("evaluation", "queued", "p")
    assert (job.queue, job.priority) == ("gpu", 3)
    assert (job.attempts, job.crash_count, job.lease_epoch) == (0, 0, 0)
    assert (job.started_at, job.finished_at, job.lease_owner) == (None, None, None)
    assert events_of(filled, evaluation) == [("queued", {})]


def test_a_job_waits_long_and_its_time_runs_from_its_first_claim(
    filled: Engine, job_id: str
) -> None:
    job = job_of(filled, job_id)
    assert job.deadline_at - job.created_at == timedelta(seconds=WAITING_SECONDS)
    assert job.run_seconds == DEADLINE_SECONDS
    assert job.hinted_at == job.created_at


def test_every_field_is_stored(filled: Engine) -> None:
    ids = {f"{name}_id": add_checkpoint(filled, name) for name in ("anchor", "repairs")}
    fields = evaluation_fields(
        **ids,
        candidate_id=add_checkpoint(filled, "candidate"),
        baseline_id=add_checkpoint(filled, "baseline"),
        queue="gpu",
        priority=5,
        tier="full",
        split="confirm",
        template="candidate",
        template_arguments={"enable_thinking": False},
        task_data="/data/rows.jsonl",
        task_data_sha256="f" * 64,
        remediation_id="rem_1",
    )
    with transaction(filled) as session:
        evaluation = evaluations.create_evaluation(session, fields)
    row = evaluation_of(filled, evaluation)
    assert evaluations.fields_of(job_of(filled, evaluation), row) == fields
    assert (row.anchor_id, row.repairs_id, row.tier) == ("anchor", "repairs", "full")


def test_an_evaluation_begins_without_a_verdict_or_evidence(filled: Engine, job_id: str) -> None:
    row = evaluation_of(filled, job_id)
    assert (row.verdict, row.verdict_document, row.manifests) == (None, None, {})
    assert (row.split, row.template, row.race) == ("screen", "baseline", None)


def test_a_submission_that_fails_leaves_no_job_without_its_evaluation(filled: Engine) -> None:
    with pytest.raises(IntegrityError), transaction(filled) as session:
        evaluations.create_evaluation(session, evaluation_fields(policy_id="pol_none"))
    with reading(filled) as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 0


# --- repairs --------------------------------------------------------------------------------


def test_a_repair_is_queued_where_and_how_its_evaluation_was(filled: Engine) -> None:
    evaluation = add_evaluation(filled, project="q", queue="gpu", priority=4)
    job = job_of(filled, repair := add_remediation(filled, evaluation))
    assert is_id(repair, "rem")
    assert (job.kind, job.status, job.project) == ("remediation", "queued", "q")
    assert (job.queue, job.priority) == ("gpu", 4)
    assert events_of(filled, repair) == [("queued", {})]


def test_a_repair_knows_its_recipe_and_what_it_answers(filled: Engine, job_id: str) -> None:
    options = {"candidate_weight": 0.5, "hma": {"ratios": [0.6, 0.4]}}
    row = remediation_of(filled, add_remediation(filled, job_id, recipe="hma", options=options))
    assert (row.evaluation_id, row.recipe, row.options) == (job_id, "hma", options)
    assert (row.parent_id, row.plan, row.progress) == (None, None, {})
    assert (row.checkpoint_id, row.child_evaluation_id, row.split) == (None, None, "confirm")


@pytest.mark.parametrize(("minutes", "seconds"), [(None, DEADLINE_SECONDS), (7.5, 450.0)])
def test_the_policys_minutes_are_a_repairs_deadline(
    filled: Engine, job_id: str, minutes: float | None, seconds: float
) -> None:
    job = job_of(filled, add_remediation(filled, job_id, minutes=minutes))
    assert job.run_seconds == seconds
    assert job.deadline_at - job.created_at == timedelta(seconds=WAITING_SECONDS)


def test_a_repair_is_announced_to_those_who_watch_the_evaluation(
    filled: Engine, job_id: str
) -> None:
    repair = add_remediation(filled, job_id, options={"candidate_weight": 0.5})
    assert events_of(filled, job_id)[1:] == [("remediation", {"id": repair, "recipe": "wise_ft"})]


def test_a_try_is_announced_to_those_who_watch_the_ladder(filled: Engine, job_id: str) -> None:
    ladder = add_remediation(filled, job_id, recipe="auto")
    options = {"candidate_weight": 0.5}
    rung = add_remediation(filled, job_id, options=options, parent_id=ladder)
    announced = {"id": rung, "recipe": "wise_ft", "options": options}
    assert events_of(filled, ladder)[1:] == [("try", announced)]
    assert [kind for kind, _ in events_of(filled, job_id)] == ["queued", "remediation"]


def test_nothing_is_repaired_that_was_not_evaluated(filled: Engine) -> None:
    with pytest.raises(NotFound, match="no job eval_none"):
        add_remediation(filled, "eval_none")
    with reading(filled) as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 0


# --- reading --------------------------------------------------------------------------------


def test_a_job_of_another_project_is_as_absent_as_one_that_never_was(
    filled: Engine, job_id: str
) -> None:
    with reading(filled) as session:
        assert evaluations.get_job(session, job_id).id == job_id
        assert evaluations.get_job(session, job_id, project="p").id == job_id
        messages = []
        for name in (job_id, "eval_none"):
            with pytest.raises(NotFound) as refused:
                evaluations.get_job(session, name, project="q")
            messages.append(str(refused.value).replace(name, "ID"))
    assert messages[0] == messages[1]


GETTERS: dict[str, Callable[[Session, str], object]] = {
    "evaluation": evaluations.get_evaluation,
    "remediation": evaluations.get_remediation,
    "origin": evaluations.origin_of,
}


@pytest.mark.parametrize("get", GETTERS.values(), ids=GETTERS)
def test_what_is_not_there_is_not_found(
    database: Engine, get: Callable[[Session, str], object]
) -> None:
    with reading(database) as session, pytest.raises(NotFound, match="some_id"):
        get(session, "some_id")


def test_a_job_is_one_of_its_own_kind_only(filled: Engine, job_id: str) -> None:
    repair = add_remediation(filled, job_id)
    with reading(filled) as session:
        with pytest.raises(NotFound):
            evaluations.get_remediation(session, job_id)
        with pytest.raises(NotFound):
            evaluations.get_evaluation(session, repair)
        assert evaluations.origin_of(session, repair) == job_id


# --- families -------------------------------------------------------------------------------


def test_repairs_of_an_evaluation_are_no_tries_and_no_others_repairs(
    filled: Engine, job_id: str
) -> None:
    repairs = sorted(add_remediation(filled, job_id) for _ in range(3))
    add_remediation(filled, job_id, parent_id=repairs[0])
    add_remediation(filled, add_evaluation(filled))
    with reading(filled) as session:
        listed = evaluations.remediations_of(session, job_id)
    assert [row.id for row in listed] == repairs


def test_tries_of_a_ladder_oldest_first(filled: Engine, job_id: str) -> None:
    ladder, other = (add_remediation(filled, job_id, recipe="auto") for _ in range(2))
    tries = sorted(add_remediation(filled, job_id, parent_id=ladder) for _ in range(4))
    add_remediation(filled, job_id, parent_id=other)
    with reading(filled) as session:
        assert [row.id for row in evaluations.tries_of(session, ladder)] == tries
        assert evaluations.tries_of(session, tries[0]) == []


def test_a_repairs_evaluations_by_their_split(filled: Engine, job_id: str) -> None:
    repair, other = (add_remediation(filled, job_id) for _ in range(2))
    by_split = {
        split: add_evaluation(filled, remediation_id=repair, split=split)
        for split in ("screen", "confirm")
    }
    with reading(filled) as session:
        rows = evaluations.evaluations_of(session, repair)
        assert {split: row.id for split, row in rows.items()} == by_split
        assert evaluations.evaluations_of(session, other) == {}


def test_confirmations_count_how_often_the_held_out_items_were_opened(filled: Engine) -> None:
    failing, other = add_checkpoint(filled, "failing"), add_checkpoint(filled, "other")
    for repaired, split in [
        (failing, "confirm"),
        (failing, "confirm"),
        (failing, "screen"),
        (other, "confirm"),
        (None, "confirm"),
    ]:
        add_evaluation(filled, repairs_id=repaired, split=split)
    with reading(filled) as session:
        counts = [evaluations.confirmations_of(session, name) for name in (failing, other, "c")]
    assert counts == [2, 1, 0]


def test_a_confirmation_counts_from_when_it_is_queued_and_however_it_ends(
    filled: Engine,
) -> None:
    change_job(filled, add_evaluation(filled, repairs_id="c", split="confirm"), status="failed")
    with reading(filled) as session:
        assert evaluations.confirmations_of(session, "c") == 1


# --- events ---------------------------------------------------------------------------------


def add_notes(database: Engine, job_id: str, count: int) -> None:
    with transaction(database) as session:
        for number in range(count):
            jobs.add_event(session, job_id, EventKind.NOTE, {"number": number})


def numbers_after(database: Engine, job_id: str, seq: int, **how: Any) -> list[int]:
    with reading(database) as session:
        events = evaluations.events_after(session, job_id, seq, **how)
    return [event.document["number"] for event in events if event.kind == "note"]


def test_events_come_in_pages_that_neither_skip_nor_repeat(filled: Engine, job_id: str) -> None:
    add_notes(filled, job_id, 7)
    seq, sizes, kinds = 0, [], []
    with reading(filled) as session:
        while page := evaluations.events_after(session, job_id, seq, limit=3):
            sizes.append(len(page))
            kinds += [event.document.get("number") for event in page]
            seq = page[-1].seq
    assert sizes == [3, 3, 2]
    assert kinds == [None, 0, 1, 2, 3, 4, 5, 6]


def test_events_of_other_jobs_between_are_not_told(filled: Engine, job_id: str) -> None:
    other = add_evaluation(filled)
    for name in (job_id, other, job_id):
        add_notes(filled, name, 1)
    assert numbers_after(filled, job_id, 0) == [0, 0]
    assert numbers_after(filled, other, 0) == [0]


def test_a_page_of_events_has_an_end_even_if_nobody_says_so(filled: Engine, job_id: str) -> None:
    add_notes(filled, job_id, 220)
    assert numbers_after(filled, job_id, 0) == list(range(199))


def test_a_claim_shows_in_the_events_of_its_job_alone(filled: Engine, job_id: str) -> None:
    other = add_evaluation(filled, priority=-1)
    assert claim(filled).job_id == job_id
    assert len(events_of(filled, job_id)) == 2
    assert len(events_of(filled, other)) == 1
