"""task.retention: loss on the user's own task.

Harm: a repair that throws away the skill the fine-tune was made for.
Suite: the held-out rows of the user's task data, which no recipe trains on.
Judge: none; the measure is the loss of the row's completion after its prompt, in nats, weighted by
its tokens, so that the mean over rows is the mean loss a token. Lower is better.
Reference: the task loss of the alignment-tax literature (Lin et al. 2023, arXiv 2309.06256).
"""

import math
from collections.abc import Sequence

from holdfast.evidence.trial import Measure, Trial, unscored
from holdfast.probes.engine import Continuation
from holdfast.probes.question import Answer, Question, chat_of, row_digest
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.repairs.task_data import Row

SPEC = ProbeSpec(
    "task.retention",
    metric="task_loss",
    suite=None,  # the held-out rows of the user's own task data
    judge=None,
    items={"demo": None, "standard": None, "full": None},
    measure=True,
)


def questions(rows: Sequence[Row], max_tokens: int) -> tuple[Question, ...]:  # noqa: ARG001 - every probe's form
    """A question a row; a row is known by its content, and a repeated one counts once."""
    distinct = {row_digest(row)[:16]: row for row in rows}
    return tuple(
        Question(item, item, (Continuation(chat_of(row), row.completion),))
        for item, row in distinct.items()
    )


def judge(question: Question, answer: Answer) -> Measure | Trial:
    """The row's loss; a row without a finite one is an unscored trial, so that it is missed."""
    (score,) = answer.scores
    if score.tokens < 1 or not math.isfinite(score.logprob):
        reason = f"log-probability of {score.tokens} tokens is {score.logprob}"
        return unscored(SPEC.name, question.item, question.cluster, reason)
    return Measure(SPEC.name, question.item, -score.logprob, score.tokens, "nats")


PROBE = BuiltProbe(SPEC, questions, judge)
