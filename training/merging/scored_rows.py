"""The rows that a search for ratios scores: task rows and refusals, or a response set.

Nothing trains on them. By hand, the task data and the rehearsal data are at hand; a worker gives
models' own answers (holdfast/repairs/responses.py).
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from holdfast.errors import InvalidTaskData
from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import Kind
from holdfast.repairs.responses import read_responses
from holdfast.repairs.task_data import Row
from training.progress import Report
from training.rows.batches import Example, tokenise
from training.runs.sources import read_sources

Scored = dict[Kind, Sequence[Example]]


def draw_rows(plan: Plan, tokenizer: PreTrainedTokenizerBase) -> Scored:
    """Task rows, and where there is rehearsal data refusals, drawn by the plan's seed."""
    wanted: set[Kind] = {"task"} if plan.rehearsal_data is None else {"task", "refusal"}
    sources = sorted(read_sources(plan, wanted).items())
    return {kind: _draw(plan, rows, tokenizer, path) for kind, (path, rows) in sources}


def draw_responses(plan: Plan, tokenizer: PreTrainedTokenizerBase, report: Report) -> Scored:
    """The plan's response set by kind, or its rows where it names none; reports whose they are.

    Raises InvalidTaskData where the set lacks right answers to the task, or refusals.
    """
    path = plan.response_data
    if path is None:
        report("note", text="no response_data: the task's own rows and refusals are made likely")
        return draw_rows(plan, tokenizer)
    responses = read_responses(path)
    report("responses", **Counter(f"{one.row.kind}_by_{one.by}" for one in responses))
    scored: Scored = {}
    for kind, what in KINDS.items():
        rows = [response.row for response in responses if response.row.kind == kind]
        if not rows:
            raise InvalidTaskData(
                f"{path} holds no {what}, and without one the ratios would be chosen for half of "
                "what they are to keep; add some, or set hma.search: simplex"
            )
        scored[kind] = _draw(plan, rows, tokenizer, path)
    return scored


KINDS: dict[Kind, str] = {"task": "right answer to the task", "refusal": "refusal"}


def _draw(
    plan: Plan, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, path: Path
) -> list[Example]:
    drawn = random.Random(plan.seed).sample(rows, min(plan.hma.rows, len(rows)))  # noqa: S311 - an order to reproduce, not a secret
    return tokenise(drawn, tokenizer, plan.max_length, path)
