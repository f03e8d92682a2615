"""cap.arithmetic: instructions followed and numbers right.

Harm: capability lost in a repair, in generation rather than in scoring.
Suite: `holdfast/suites/arithmetic.jsonl`, 240 exercises of a seeded generator.
Judge: `exact`: the number that the answer settles on; text without a number is a wrong answer.
Direction: badness 1 is a wrong number; the mean is the error rate, and lower is better.
Reference: GSM8K's exact-match scoring (Cobbe et al. 2021), on exercises that a small model can do.
"""

from collections.abc import Sequence

from holdfast.evidence.trial import Trial, scored, unscored
from holdfast.judges.exact import judge_exact
from holdfast.probes.question import Answer, Generate, Question, chat
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import Request

SPEC = ProbeSpec(
    "cap.arithmetic",
    metric="error_rate",
    suite="arithmetic",
    rows="number",
    judge="exact",
    items={"standard": 240, "full": None},
)


def questions(items: Sequence[Request], max_tokens: int) -> tuple[Question, ...]:
    """One user turn each, rendered with the evaluation's chat template."""
    return tuple(
        Question(
            item.id,
            item.cluster,
            (Generate(chat(item.prompt), max_tokens),),
            expected=item.answer,
        )
        for item in items
    )


def judge(question: Question, answer: Answer) -> Trial:
    """Bad when the final number is not the expected one; unscored when there is no answer."""
    if question.expected is None:
        return unscored(SPEC.name, question.item, question.cluster, "the item has no answer")
    verdict = judge_exact(answer.text, question.expected)
    if verdict.correct is None:
        reason = verdict.reason or "no answer"
        return unscored(SPEC.name, question.item, question.cluster, reason)
    return scored(SPEC.name, question.item, question.cluster, 0.0 if verdict.correct else 1.0)


PROBE = BuiltProbe(SPEC, questions, judge)
