"""Answers: from the cache where they are, from the engine where they are not.

The key covers everything that could change what a model says (its content, the question as asked,
template, sampling, backend and dtype) and nothing that could not: a new judge, policy or name finds
every answer there. The checkpoint is loaded at the first question that the cache cannot answer.
"""

import hashlib
import json
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from holdfast.checkpoints.chat_template import template_digest
from holdfast.db.session import reading
from holdfast.db.trials import find_answers
from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Backend
from holdfast.probes.question import Answer, Question
from workers.checkpoints.loading import examine, load, require_untouched
from workers.evaluation.ask import ask
from workers.evaluation.case import Case, Side
from workers.worker import Worker

SAVE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answered:
    """One question with its answer; `fresh` when a model was asked for it just now."""

    question: Question
    answer: Answer
    key: str
    fresh: bool


def answer_questions(
    worker: Worker,
    case: Case,
    side: Side,
    probe: str,
    questions: Sequence[Question],
    *,
    max_prompts: int | None = None,
) -> Generator[Answered, None, None]:
    """Every question once: the cached ones first, then the others as the engine answers them.

    Of those others only the first that come to `max_prompts` prompts. Saving the fresh ones is the
    caller's: they belong into the transaction of what they lead to.
    """
    keys = {
        question: answer_key(case, side, probe, question, worker.engine.backend)
        for question in questions
    }
    with reading(worker.database) as session:
        cached = find_answers(session, list(keys.values()))
    for question, key in keys.items():
        if key in cached:
            yield Answered(question, Answer.from_json(cached[key]), key, fresh=False)
    unknown = within_budget(
        [question for question, key in keys.items() if key not in cached], max_prompts
    )
    if not unknown:
        return
    open_side(worker, case, side)
    for question, answer in ask(worker.engine, unknown, case.sampling_of(side)):
        require_untouched(worker, side.checkpoint)
        yield Answered(question, answer, keys[question], fresh=True)


def open_side(worker: Worker, case: Case, side: Side) -> None:
    """Have the engine load one side, once every side is seen to be a model.

    So a broken candidate is refused before its baseline is asked.
    """
    for each in case.sides:
        with naming(each):
            examine(worker, each.checkpoint)
    with naming(side):
        load(worker, side.checkpoint, case.template_of(side))


@contextmanager
def naming(side: Side) -> Iterator[None]:
    """A block in which a refusal says whose checkpoint it is."""
    try:
        yield
    except CheckpointRefused as error:
        raise CheckpointRefused(f"the {side.name}: {error}") from error


def within_budget(questions: Sequence[Question], max_prompts: int | None) -> list[Question]:
    """The first questions that together are at most so many prompts; all if there is no limit."""
    totals = accumulate(question.prompts for question in questions)
    return [
        question
        for question, total in zip(questions, totals, strict=True)
        if max_prompts is None or total <= max_prompts
    ]


def batches(stream: Iterator[Answered]) -> Iterator[list[Answered]]:
    """Cut a stream into what arrives within about a second: one transaction each."""
    batch: list[Answered] = []
    due = time.monotonic() + SAVE_SECONDS
    for answered in stream:
        batch.append(answered)
        if time.monotonic() >= due:
            yield batch
            batch, due = [], time.monotonic() + SAVE_SECONDS
    if batch:
        yield batch


def notes_key(side: Side, backend: Backend) -> str:
    """64 hex: the key of the engine's notes on a side's files, stored with the answers.

    So evidence says the same whether answers come from a model or from the cache.
    """
    parts = {
        "notes": side.checkpoint.digest,
        "backend": side.backend(backend).to_json(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def answer_key(case: Case, side: Side, probe: str, question: Question, backend: Backend) -> str:
    """64 hex over everything that could change the answer."""
    parts = {
        "checkpoint": side.checkpoint.digest,
        "suite": case.suites[probe],
        "item": question.item,
        "variant": question.variant,
        "question": question.fingerprint(),
        "template": template_digest(case.template_of(side)),
        "sampling": case.sampling_of(side).to_json(),
        "backend": side.backend(backend).to_json(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
