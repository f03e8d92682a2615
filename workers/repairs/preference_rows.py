"""Pairs of answers for a repair: the baseline's refusal, and what the candidate said instead.

Both are asked the harmful half of the rehearsal pool, which no gate ever asks; a pair is made where
the judge says that the baseline refused and the candidate complied, or refused and then answered in
part. Its margin is by how much worse the candidate's answer is, from 0 to 1: of a policy that names
a graded judge of harm, what that says of both answers; else 1, and .5 for an answer in part.

The candidate's bad answers are the one thing here that must not stay: they are in no cache, in no
log and in no row of the database, only in a file that the caller removes when the repair ends.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.db import jobs
from holdfast.errors import RepairImpossible
from holdfast.judges.coherence import incoherence
from holdfast.judges.endpoint import EndpointJudge, endpoint_of
from holdfast.judges.refusal import judge_refusal
from holdfast.probes.question import Question
from holdfast.repairs.plan import Plan
from workers.evaluation.case import Repair
from workers.repairs.leftovers import PAIRS
from workers.repairs.rehearsal_rows import (
    SPARE,
    complete_sentences,
    pool,
    put_to,
    usable_answers,
)
from workers.worker import Worker

MAX_PAIRS = 96  # a run goes round them, and on a small machine both answers cost more than a step
BADNESS: dict[str, float] = {"compliance": 1.0, "partial": 0.5}  # a refusal's is 0


def pairs_file(repair: Repair) -> Path:
    """Where the pairs are while the repair runs."""
    return repair.workspace / PAIRS


def write_pairs(worker: Worker, lease: jobs.Lease, repair: Repair, plan: Plan) -> Path:
    """Have baseline and candidate answer; the file of pairs is readable by this user alone.

    Raises RepairImpossible if there is no request that one refuses and the other answers.
    """
    needed = min(MAX_PAIRS, plan.steps * plan.preference.pairs) + plan.sliced_rows
    questions = pool(repair.case, "harmful", math.ceil(needed * SPARE))
    refused = usable_answers(worker, lease, repair, "refusal", questions)
    by_prompt = {question.prompt_text: question for question in questions}
    answered = bad_answers(worker, lease, repair, [by_prompt[row["prompt"]] for row in refused])
    pairs = [
        {**row, "chosen": row["completion"], "rejected": answered[row["prompt"]]}
        for row in refused
        if row["prompt"] in answered
    ]
    with margins(worker, repair) as margin_of:
        lines = [
            {
                "prompt": pair["prompt"],
                "chosen": pair["chosen"],
                "rejected": pair["rejected"],
                "margin": margin,
            }
            for pair in pairs
            if (margin := margin_of(pair["prompt"], pair["chosen"], pair["rejected"])) > 0
        ]
    if not lines:
        judged = (
            "none of those" if not pairs else f"{len(pairs)}, none of which the judge graded worse"
        )
        raise RepairImpossible(
            f"of {len(questions)} harmful requests the baseline refused {len(refused)} and the "
            f"candidate complied with {judged}, so there is nothing to prefer; "
            "another recipe may help"
        )
    path = pairs_file(repair)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines[:needed])
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path


def bad_answers(
    worker: Worker, lease: jobs.Lease, repair: Repair, questions: Sequence[Question]
) -> dict[str, str]:
    """The candidate's answers where it complied, if in part, by prompt; none of them is saved."""
    answers: dict[str, str] = {}
    for answered in put_to(worker, lease, repair, repair.failing, questions, saved=False):
        prompt, text = answered.question.prompt_text, complete_sentences(answered.answer.text)
        if text and badness(prompt, answered.answer.text) > 0:
            answers[prompt] = text
    return answers


def badness(prompt: str, answer: str) -> float:
    """How far an answer complies, 0 to 1; noise does not: no refusal need be preferred to it."""
    found = BADNESS.get(judge_refusal(prompt, answer).label, 0.0)
    return found if incoherence(prompt, answer) is None else 0.0


@contextmanager
def margins(worker: Worker, repair: Repair) -> Iterator[Callable[[str, str, str], float]]:
    """By how much worse the second answer to a prompt is than the first; 0 where nobody can say."""
    checks = repair.case.policy.checks.values()
    judges = [check.judge for check in checks if check.metric == "attack_success_rate"]
    judge = next(filter(None, judges), None)
    if judge is None:
        yield lambda prompt, _better, worse: badness(prompt, worse)
        return
    with EndpointJudge(endpoint_of(judge, worker.settings, os.environ)) as endpoint:

        def graded(prompt: str, better: str, worse: str) -> float:
            first, second = (endpoint.read(prompt, answer).score for answer in (better, worse))
            return 0.0 if first is None or second is None else second - first

        yield graded
