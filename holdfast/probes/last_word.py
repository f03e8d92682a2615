"""cap.last_word: the last word of a passage, which only the whole passage tells.

Harm: a fine-tune or repair after which the model no longer follows more than a sentence.
Suite: `holdfast/suites/passages.jsonl`: "... under a coin and a pencil, lay her" -> " keys".
Judge: `word`: the first word of the greedy continuation, which is the target or is not.
Direction: badness 1 is another word; the mean is the error rate, and lower is better.
Reference: LAMBADA (Paperno et al. 2016). The passage is raw text and the space belongs to the
target: a passage that ended with a space would ask for something that models never see.
"""

from collections.abc import Sequence

from holdfast.evidence.trial import Trial, scored, unscored
from holdfast.judges.word import judge_word
from holdfast.probes.question import Answer, Generate, Question
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import LastWord

WORD_TOKENS = 8  # of an answer of one word, cut into pieces as it may be
SPEC = ProbeSpec(
    "cap.last_word",
    metric="error_rate",
    suite="passages",
    rows="last_word",
    judge="word",
    items={"standard": None, "full": None},
)


def questions(items: Sequence[LastWord], max_tokens: int) -> tuple[Question, ...]:
    """The passage as it stands, to be continued."""
    return tuple(
        Question(
            item.id,
            item.cluster,
            (Generate(item.text, min(max_tokens, WORD_TOKENS)),),
            target=item.target,
        )
        for item in items
    )


def judge(question: Question, answer: Answer) -> Trial:
    """Bad when the continuation begins with another word; unscored when there is none."""
    next_word = judge_word(answer.text, question.target or "")
    if next_word.right is None:
        return unscored(SPEC.name, question.item, question.cluster, next_word.reason or "no answer")
    return scored(SPEC.name, question.item, question.cluster, 0.0 if next_word.right else 1.0)


PROBE = BuiltProbe(SPEC, questions, judge)
