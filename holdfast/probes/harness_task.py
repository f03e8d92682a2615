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
from holdfast.probes.spec import BuiltProbe, ProbeSpec

SPEC = ProbeSpec(
    "cap.lm_eval",
    metric="error_rate",
    suite=None,
    task="",
    judge=None,  # the task's own metric
    items={"standard": 240, "full": None},
)


def questions(items: Sequence[dict[str, Any]]) -> tuple[Question, ...]:
    """Questions of {"item", "asks"} as the task's process tells them; each is its own cluster."""
    return tuple(
        Question(item["item"], item["item"], tuple(_parse_ask(ask) for ask in item["asks"]))
        for item in items
    )


def _parse_ask(fields: dict[str, Any]) -> Ask:
    if "text" in fields:
        return Continuation(fields["prompt"], fields["text"])
    temperature = fields["temperature"]
    return Generate(
        fields["prompt"],
        fields["max_tokens"],
        Drawn(temperature, seed=0) if temperature else None,
        tuple(fields["until"]) or None,
    )


def reason_unscored(answer: Answer) -> str:
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
    """The replies as the metric reads them: texts, or [log-probability, whether it is greedy]."""
    return [
        reply.text if isinstance(reply, Completion) else [reply.logprob, reply.greedy]
        for reply in answer.replies
        if isinstance(reply, Completion | Score)
    ]


def trial(probe: str, question: Question, badness: float | None, reason: str) -> Trial:
    """The trial of one item, from the metric's badness or the reason why there is none."""
    if badness is None:
        return unscored(probe, question.item, question.cluster, reason)
    return scored(probe, question.item, question.cluster, badness)


PROBE = BuiltProbe(SPEC, questions)
