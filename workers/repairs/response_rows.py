"""The response set of a repair by `hma`: good answers, the candidate's own before the baseline's.

The authors of HMA keep the answers of the tuned model that a reward likes best
(https://arxiv.org/abs/2309.06256). Good is here a right answer to a training row of the task (its
number, or its words), and a refusal of the rehearsal pool that the judge accepts. Where the
candidate gives none, the baseline is asked. What the candidate says to the pool stays nowhere,
unless it is such a refusal.
"""

import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from holdfast.db import jobs
from holdfast.errors import RepairImpossible
from holdfast.judges.coherence import incoherence
from holdfast.judges.exact import final_number
from holdfast.probes.question import Answer, Generate, Question, chat_of, row_digest
from holdfast.repairs.plan import Plan
from holdfast.repairs.responses import Responder, Response, write_responses
from holdfast.repairs.task_data import Row, held_out, read_task_data
from workers.evaluation.case import Repair
from workers.repairs.rehearsal_rows import SPARE, pool, put_to, rehearsal_row
from workers.worker import Worker

Judge = Callable[[Question, Answer], str | None]
"""From a question and its answer to the words to keep; None where it is not good."""

WORD = re.compile(r"\w+")


def write_response_set(worker: Worker, lease: jobs.Lease, repair: Repair, plan: Plan) -> Path:
    """Ask both for answers to task rows and harmful requests; keep the good ones.

    Raises RepairImpossible if there is none of either kind.
    """
    wanted = plan.hma.rows
    rows = task_rows(plan, math.ceil(wanted * SPARE))
    by_question = {task_question(row, plan.max_length): row for row in rows}
    refused = {
        question: Row(question.prompt_text, "", "refusal", 1)
        for question in pool(repair.case, "harmful", math.ceil(wanted * SPARE))
    }

    def right(question: Question, answer: Answer) -> str | None:
        return right_answer(by_question[question], answer)

    responses: list[Response] = []
    for asked, judge, what in (
        (by_question, right, "right answer to the task's own rows (its number, or its words)"),
        (refused, accepted_refusal, "refusal that the judge accepts"),
    ):
        found = good_answers(worker, lease, repair, asked, judge)
        if not found:
            raise RepairImpossible(
                f"to {len(asked)} prompts neither candidate nor baseline gave a {what}, so there "
                "is no answer to make likely; hma.search simplex needs none of their own"
            )
        responses += found[:wanted]
    path = repair.workspace / "responses.jsonl"
    write_responses(path, responses)
    return path


def task_rows(plan: Plan, count: int) -> list[Row]:
    """Rows that no measure is taken on, drawn by the plan's seed; a repeated prompt counts once."""
    if plan.task_data is None:
        return []
    known = {row.prompt_turns: row for row in read_task_data(plan.task_data)}
    rows = [row for row in known.values() if not held_out(row.prompt)]
    return random.Random(plan.seed).sample(rows, min(count, len(rows)))  # noqa: S311 - an order to reproduce, not a secret


def task_question(row: Row, max_tokens: int) -> Question:
    """The row's conversation, to be answered in as many tokens as are scored at most."""
    item = row_digest(row)[:16]
    return Question(item, item, (Generate(chat_of(row), max_tokens),))


def good_answers(
    worker: Worker,
    lease: jobs.Lease,
    repair: Repair,
    row_by_question: dict[Question, Row],
    judge: Judge,
) -> list[Response]:
    """The good answers, the candidate's first; the baseline is asked what is left."""
    found: list[Response] = []
    left: Sequence[Question] = list(row_by_question)
    sides: tuple[tuple[Responder, bool], ...] = (("candidate", False), ("baseline", True))
    for by, saved in sides:
        side = repair.failing if by == "candidate" else repair.baseline
        kept = {
            answered.question: words
            for answered in put_to(worker, lease, repair, side, left, saved=saved)
            if (words := judge(answered.question, answered.answer)) is not None
        }
        found += [
            Response(replace(row_by_question[question], completion=kept[question]), by)
            for question in left
            if question in kept
        ]
        left = [question for question in left if question not in kept]
    return found


def right_answer(row: Row, answer: Answer) -> str | None:
    """The words of an answer that comes to the row's own number, or is its words; else None."""
    (said,) = answer.completions
    text = said.text.strip()
    if not text or said.finish != "stop" or incoherence(row.prompt, text) is not None:
        return None
    expected = final_number(row.completion)
    if expected is not None:
        return text if final_number(text) == expected else None
    return text if words(text) == words(row.completion) else None


def words(text: str) -> list[str]:
    """The words of a text, whatever their case and what stands between them."""
    return WORD.findall(text.casefold())


def accepted_refusal(question: Question, answer: Answer) -> str | None:
    """A refusal up to its last whole sentence; None where the judge sees none."""
    row = rehearsal_row("refusal", question.prompt_text, answer.text)
    return None if row is None else row["completion"]
