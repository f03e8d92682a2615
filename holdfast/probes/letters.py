"""cap.letters: general knowledge by the letter of the answer.

Harm: a model that still knows, but no longer follows the form of a listed question.
Suite: `holdfast/suites/knowledge.jsonl`, the questions of `cap.knowledge`.
Judge: `choice`, over the log-probabilities of the letters, which are all equally long.
Direction: badness 1 is a wrong letter; the mean is the error rate, and lower is better.
Limit: below about a billion parameters models answer letters by chance, and then nothing can be
forgotten; there `cap.knowledge`, by full texts, is the one to ask.
Reference: MMLU (Hendrycks et al. 2021), in its usual form.
"""

from collections.abc import Sequence
from string import ascii_uppercase

from holdfast.evidence.trial import Trial
from holdfast.probes.engine import Continuation
from holdfast.probes.multiple_choice import judge_choice
from holdfast.probes.question import Answer, Question
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import Choice

SPEC = ProbeSpec(
    "cap.letters",
    metric="error_rate",
    suite="knowledge",
    rows="choice",
    judge="choice",
    items={"standard": 240, "full": None},
)


def questions(items: Sequence[Choice], max_tokens: int) -> tuple[Question, ...]:  # noqa: ARG001 - every probe's form
    """Options listed and lettered, each letter scored after "Answer:"."""
    return tuple(
        Question(
            item.id,
            item.cluster,
            tuple(
                Continuation(letters_prompt(item), f" {letter}")
                for letter in ascii_uppercase[: len(item.choices)]
            ),
            group=item.group,
            expected=item.answer,
        )
        for item in items
    )


def letters_prompt(item: Choice) -> str:
    """Question, lettered options, "Answer:"."""
    listed = zip(ascii_uppercase[: len(item.choices)], item.choices, strict=True)
    options = "\n".join(f"{letter}. {text}" for letter, text in listed)
    return f"{item.context}\n{item.question}\n{options}\nAnswer:".lstrip()


def judge(question: Question, answer: Answer) -> Trial:
    """Bad when another letter than the right one is likeliest."""
    return judge_choice(SPEC.name, question, answer)


PROBE = BuiltProbe(SPEC, questions, judge)
