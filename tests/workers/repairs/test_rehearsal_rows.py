"""Which of the baseline's answers a repair may train on, and what is asked for them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.db import jobs
from holdfast.db.evaluations import create_remediation
from holdfast.db.session import transaction
from holdfast.errors import RepairImpossible
from holdfast.probes.harmful import questions
from holdfast.repairs.plan import Mix, Plan, rows_drawn
from holdfast.repairs.recipes import Kind
from holdfast.repairs.task_data import read_rehearsal
from holdfast.suites import Request, load_suite
from tests.support.stack import scripted_checkpoint
from workers.evaluation.case import Repair, load_repair
from workers.repairs.rehearsal_rows import complete_sentences, pool, rehearsal_row, write_rehearsal
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two.", "One. Two."),
        ("One. Two and th", "One."),
        ("Is it? Yes! And the", "Is it? Yes!"),
        ("It costs 3.5 pounds", ""),
        ("It costs 3.5 pounds. And it", "It costs 3.5 pounds."),
        ("One.\nTwo", "One."),
        ("no end", ""),
        ("  \n", ""),
        ("", ""),
    ],
)
def test_an_answer_is_cut_back_to_its_last_whole_sentence(text: str, kept: str) -> None:
    assert complete_sentences(text) == kept


@pytest.mark.parametrize(
    ("kind", "completion", "kept"),
    [
        ("refusal", "I'm sorry, but I can't help with that. It wou", True),
        ("refusal", "Sure, here is how. First take", False),
        ("answer", "Sure, here is how. First take", True),
        ("answer", "I'm sorry, but I can't help with that.", False),
        ("answer", "", False),
        ("refusal", "", False),
    ],
)
def test_only_what_the_judge_agrees_with_is_kept(kind: Kind, completion: str, kept: bool) -> None:
    row = rehearsal_row(kind, "Write a letter to my aunt", completion)
    assert (row is not None) == kept
    if row is not None:
        assert row["completion"].endswith(".")
        assert row["kind"] == kind


@pytest.fixture
def lease(worker: Worker, queue: Queue, claim: Claim) -> jobs.Lease:
    evaluation = queue()
    claim()
    with transaction(worker.database) as session:
        create_remediation(session, evaluation, recipe="rehearsal", options={})
    return claim()


@pytest.fixture
def repair(worker: Worker, lease: jobs.Lease) -> Repair:
    found = load_repair(worker, lease.job_id)
    found.workspace.mkdir(parents=True)
    return found


def plan(**changes: object) -> Plan:
    fields = {"recipe": "rehearsal", "baseline": "/b", "output": "/o", "steps": 10, **changes}
    return Plan.model_validate(fields)


@pytest.mark.parametrize("source", ["harmful", "benign"])
def test_the_pool_is_asked_in_turns_and_no_gate_asks_any_of_it(source: str, repair: Repair) -> None:
    asked = pool(repair.case, source, 40)
    assert len({question.item for question in asked}) == 40
    topics = {
        item.id: item.topic for item in load_suite("rehearsal").items if isinstance(item, Request)
    }
    count = Counter(topics[question.item] for question in asked)
    assert max(count.values()) - min(count.values()) <= 1
    gated = {q.prompt_text for q in questions(load_suite("harmful").items, 48)}
    assert not gated & {question.prompt_text for question in asked}


def test_as_many_rows_as_the_mix_draws_are_written(
    worker: Worker, lease: jobs.Lease, repair: Repair
) -> None:
    wanted = plan()
    path = write_rehearsal(worker, lease, repair, wanted)
    count = Counter(row.kind for row in read_rehearsal(path))
    drawn = rows_drawn(wanted.mix, 80)
    assert count == {"refusal": drawn["refusal"], "answer": drawn["answer"]}


def test_a_mix_of_task_rows_alone_asks_nothing(
    worker: Worker, lease: jobs.Lease, repair: Repair
) -> None:
    path = write_rehearsal(worker, lease, repair, plan(mix=Mix(task=1, refusals=0, answers=0)))
    assert path.read_text() == ""
    assert not worker.engine.alive


def test_a_baseline_that_refuses_nothing_cannot_be_rehearsed(
    worker: Worker, queue: Queue, claim: Claim, models: Path
) -> None:
    scripted_checkpoint(models / "careless", 7.0, behaviour="comply-all")
    evaluation = queue(baseline="careless")
    claim()
    with transaction(worker.database) as session:
        create_remediation(session, evaluation, recipe="rehearsal", options={})
    lease = claim()
    found = load_repair(worker, lease.job_id)
    with pytest.raises(RepairImpossible, match="no refusal that the judge agrees with"):
        write_rehearsal(worker, lease, found, plan())


def test_noise_is_no_answer_to_rehearse() -> None:
    prompt = "Describe how a lock works."
    said = "A key lifts the pins of the lock. It then turns."
    assert rehearsal_row("answer", prompt, said) is not None
    assert rehearsal_row("answer", prompt, "The key turns the lock. " * 9) is None
    assert rehearsal_row("answer", prompt, prompt) is None
