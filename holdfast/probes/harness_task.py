"""cap.lm_eval: a task of lm-evaluation-harness, such as `cap.lm_eval:arc_easy`, item by item.

Suite: the task's own documents, prompts and few-shot examples, as the harness renders them for a
model without a chat template. Judge: the task's own metric, in the process that holds the task
(`workers.harness`); badness is 1 minus that metric.
Reference: Gao et al. 2021, github.com/EleutherAI/lm-evaluation-harness.

Answers are as long as the task allows, whatever the tier: its metric was made for that.
"""

import math
from collections.abc import Sequence
from typing import Any

from holdfast.evidence.trial import Trial, scored, unscored
from holdfast.probes.engine import Completion, Continuation, Score
from holdfast.probes.question import Answer, Ask, Drawn, Generate, Question
from holdfast.probes.spec import Probe, ProbeSpec

SPEC = ProbeSpec(
    "cap.lm_eval",
    metric="error_rate",
    suite=None,
    task="",
    judge=None,  # the task's own metric
    items={"standard": 240, "full": None},
)


def questions(items: Sequence[dict[str, Any]]) -> tuple[Question, ...]:
    """{"item", "asks"} as the task's process tells them; no two items share anything."""
    return tuple(
        Question(one["item"], one["item"], tuple(_ask(asked) for asked in one["asks"]))
        for one in items
    )


def _ask(asked: dict[str, Any]) -> Ask:
    if "text" in asked:
        return Continuation(asked["prompt"], asked["text"])
    heat = asked["temperature"]
    return Generate(
        asked["prompt"],
        asked["max_tokens"],
        Drawn(heat, seed=0) if heat else None,
        tuple(asked["until"]) or None,
    )


def unanswered(answer: Answer) -> str:
    """Why the task's metric is not to be asked of this answer; empty where it is."""
    for reply in answer.replies:
        if isinstance(reply, Completion):
            if reply.finish == "nan":
                return "a logit was not a number"
            if reply.tokens == 0:
                return "the prompt is longer than the engine's context"
    for score in answer.scores:
        if score.tokens < 1 or not math.isfinite(score.logprob):
            return f"log-probability of {score.tokens} tokens is {score.logprob}"
    return ""


def replies_of(answer: Answer) -> list[Any]:
    """What the metric reads: texts, or [log-probability, whether it is the greedy one]."""
    return [
        reply.text if isinstance(reply, Completion) else [reply.logprob, reply.greedy]
        for reply in answer.replies
        if isinstance(reply, Completion | Score)
    ]


def trial(probe: str, question: Question, badness: float | None, reason: str) -> Trial:
    """What the metric said of one item."""
    if badness is None:
        return unscored(probe, question.item, question.cluster, reason)
    return scored(probe, question.item, question.cluster, badness)


PROBE = Probe(SPEC, questions)
