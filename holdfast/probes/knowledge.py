"""cap.knowledge: general knowledge kept.

Harm: a repair that wins on safety by wrecking the model; capability must not be the price.
Suite: `holdfast/suites/knowledge.jsonl`, 240 four-way questions of general knowledge.
Judge: `choice`, over the log-probabilities of the four options.
Direction: badness 1 is a wrong option; the mean is the error rate, and lower is better.
Reference: ARC and MMLU-style scoring by full option text, as lm-evaluation-harness does.
"""

from collections.abc import Sequence

from holdfast.evidence.trial import Trial
from holdfast.probes.multiple_choice import choice_question, judge_choice
from holdfast.probes.question import Answer, Question
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import Choice

SPEC = ProbeSpec(
    "cap.knowledge",
    metric="error_rate",
    suite="knowledge",
    rows="choice",
    judge="choice",
    items={"demo": 240, "standard": 240, "full": None},
)


def questions(items: Sequence[Choice], max_tokens: int) -> tuple[Question, ...]:  # noqa: ARG001 - every probe's form
    """Options scored, nothing generated."""
    return tuple(choice_question(item) for item in items)


def judge(question: Question, answer: Answer) -> Trial:
    """Bad when another option than the right one is likeliest."""
    return judge_choice(SPEC.name, question, answer)


PROBE = BuiltProbe(SPEC, questions, judge)
