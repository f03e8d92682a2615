"""The answers that `hma` by gradient makes likely: which are good, whose they are, what stays."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from holdfast.db import jobs
from holdfast.db.session import reading
from holdfast.errors import RepairImpossible
from holdfast.probes.engine import Completion
from holdfast.probes.question import Answer
from holdfast.repairs.responses import Response, read_responses
from holdfast.repairs.task_data import Row, digest_of, held_out
from tests.support.stack import scripted_checkpoint
from workers.evaluation.case import load_repair
from workers.inference.scripted import COMPLIANCE, REFUSAL
from workers.repairs.planning import make_plan
from workers.repairs.rehearsal_rows import pool
from workers.repairs.response_rows import right_answer, write_response_set
from workers.worker import Worker

Remedy = Callable[..., jobs.Lease]
GRADIENT = {"hma": {"search": "gradient", "rows": 8}}


@pytest.mark.parametrize(
    ("expected", "said", "finish", "right"),
    [
        ("3 boxes of 4 are 12, so 12 are left.", "That is 3 * 4 = 12.", "stop", True),
        ("The answer is 12.", "The answer is 1,200.", "stop", False),
        ("12", "twelve", "stop", False),
        ("Paris, of course.", "paris of course", "stop", True),
        ("Paris", "It is Paris", "stop", False),
        ("The answer is 12.", "The answer is 12", "length", False),  # it was not done
        ("Paris", "", "stop", False),
        ("12", "The key turns the lock. " * 9 + "12", "stop", False),  # noise
    ],
)
def test_right_is_the_rows_number_or_its_words(
    expected: str, said: str, finish: str, right: bool
) -> None:
    row = Row("How many are left of the apples?", expected, "task", 1)
    found = right_answer(row, Answer((Completion(said, finish, len(said.split())),)))
    assert found == (said.strip() if right else None)


@pytest.fixture
def chatter(models: Path) -> dict[str, str]:
    """Task rows whose answer is what the scripted engine says to everything harmless."""
    rows = [{"prompt": f"Tell me of number {k}.", "completion": COMPLIANCE} for k in range(60)]
    path = models / "chatter.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"task_data": str(path), "task_data_sha256": digest_of(path)}


def made(worker: Worker, lease: jobs.Lease) -> list[Response]:
    """The response set that the repair's plan names."""
    repair = load_repair(worker, lease.job_id)
    repair.workspace.mkdir(parents=True)
    plan = make_plan(worker, lease, repair)
    assert plan.rehearsal_data is None
    assert plan.response_data is not None
    return read_responses(plan.response_data)


def test_the_candidates_own_good_answers_come_before_the_baselines(
    worker: Worker, remedy: Remedy, chatter: dict[str, str]
) -> None:
    responses = made(worker, remedy("hma", GRADIENT, **chatter))
    counts = Counter((one.row.kind, one.by) for one in responses)
    assert counts["task", "candidate"] == 8
    assert counts["refusal", "candidate"] > 0  # `eroded` refuses three requests of ten
    assert counts["refusal", "baseline"] == 8 - counts["refusal", "candidate"]
    assert not any(held_out(one.row.prompt) for one in responses if one.row.kind == "task")
    assert {one.row.completion for one in responses} == {COMPLIANCE, REFUSAL}


def test_where_the_candidate_gives_nothing_good_the_baselines_stand_alone(
    worker: Worker, remedy: Remedy, chatter: dict[str, str], models: Path
) -> None:
    scripted_checkpoint(models / "noisy", 5.0, behaviour="gibberish")
    responses = made(worker, remedy("hma", GRADIENT, candidate="noisy", **chatter))
    assert {one.by for one in responses} == {"baseline"}
    assert Counter(one.row.kind for one in responses) == {"task": 8, "refusal": 8}


def test_what_the_candidate_says_to_harmful_requests_is_in_no_table(
    worker: Worker, remedy: Remedy, chatter: dict[str, str], models: Path
) -> None:
    """All that `echo` says are the requests."""
    scripted_checkpoint(models / "parrot", 5.0, behaviour="echo")
    lease = remedy("hma", GRADIENT, candidate="parrot", **chatter)
    made(worker, lease)
    asked = pool(load_repair(worker, lease.job_id).case, "harmful", 10)
    with reading(worker.database) as session:
        kept = plain(repr(session.execute(text("select * from answers")).all()))
    assert plain(REFUSAL) in kept  # the baseline's answers are cached
    assert not any(plain(question.prompt_text) in kept for question in asked)


def plain(words: str) -> str:
    """Letters alone, however the words are quoted and escaped."""
    return "".join(letter for letter in words if letter.isalpha())


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (
            {"candidate": "noisy", "baseline": "noisy2"},
            "neither candidate nor baseline gave a right",
        ),
        ({"candidate": "lax", "baseline": "lax2"}, "gave a refusal that the judge accepts"),
    ],
)
def test_a_set_without_high_reward_is_refused_in_a_sentence_and_nothing_is_written(
    worker: Worker,
    remedy: Remedy,
    chatter: dict[str, str],
    models: Path,
    sides: dict[str, Any],
    message: str,
) -> None:
    for number, name in enumerate(("noisy", "noisy2", "lax", "lax2")):
        behaviour = "gibberish" if name.startswith("noisy") else "comply-all"
        scripted_checkpoint(models / name, 5.0 + number, behaviour=behaviour)
    lease = remedy("hma", GRADIENT, **sides, **chatter)
    repair = load_repair(worker, lease.job_id)
    repair.workspace.mkdir(parents=True)
    with pytest.raises(RepairImpossible, match=message):
        make_plan(worker, lease, repair)
    assert not list(repair.workspace.iterdir())


@pytest.mark.parametrize(
    "options", [{}, {"hma": {"ratios": [0.6, 0.8, 1.0], "search": "gradient"}}]
)
def test_other_ways_to_ratios_ask_for_no_response_set(
    worker: Worker, remedy: Remedy, chatter: dict[str, str], options: dict[str, Any]
) -> None:
    lease = remedy("hma", options, **chatter)
    repair = load_repair(worker, lease.job_id)
    repair.workspace.mkdir(parents=True)
    plan = make_plan(worker, lease, repair)
    assert plan.response_data is None
    assert (plan.rehearsal_data is None) == ("hma" in options)
    assert not (repair.workspace / "responses.jsonl").exists()


def test_rows_are_the_plans_seeds_draw(
    worker: Worker, remedy: Remedy, chatter: dict[str, str]
) -> None:
    found = []
    for seed in (0, 0, 1):
        lease = remedy("hma", {**GRADIENT, "seed": seed}, **chatter)
        repair = load_repair(worker, lease.job_id)
        repair.workspace.mkdir(parents=True)
        plan = make_plan(worker, lease, repair)
        found.append(write_response_set(worker, lease, repair, plan).read_text())
    assert found[0] == found[1] != found[2]
