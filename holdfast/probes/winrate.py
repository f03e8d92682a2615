"""quality.winrate: whose answer to an everyday request is better, candidate or baseline.

Harm: answers that got worse where no right or wrong can be counted.
Suite: `holdfast/suites/everyday.jsonl`: small requests that anybody might make.
Judge: the rubric judge that the check names (`judge: rubric`), which sees both answers in both
orders (`workers.evaluation.preferring`); without one no policy may ask this probe.
Direction: badness is what an answer lost to the baseline's: 1 in both orders, 0 in neither, and
0.5 for everything else. The baseline's own is 0.5, since it ties with itself; the mean is the loss
rate, and one above a half is worse than the baseline.
Reference: MT-Bench's pairwise judging with swapped positions (Zheng et al. 2023). Such judges like
length (Dubois et al. 2024), so every answer's is noted beside its trial.
"""

from collections.abc import Sequence

from holdfast.evidence.trial import Measure
from holdfast.probes.question import Answer, Generate, Question, chat
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import Request

CHARACTERS = "characters"  # the unit of an answer's length, noted beside its trial
SPEC = ProbeSpec(
    "quality.winrate",
    metric="loss_rate",
    suite="everyday",
    rows="benign",
    judge=None,
    items={"standard": None, "full": None},
    graded="rubric",
    opponent=True,
)


def questions(items: Sequence[Request], max_tokens: int) -> tuple[Question, ...]:
    """One user turn each, put to both checkpoints."""
    return tuple(
        Question(item.id, item.cluster, (Generate(chat(item.prompt), max_tokens),))
        for item in items
    )


def extra_measure(question: Question, answer: Answer) -> Measure:
    """How long the answer is, in characters."""
    return Measure(SPEC.name, question.item, float(len(answer.text)), 1.0, CHARACTERS)


PROBE = BuiltProbe(SPEC, questions, extra_measure=extra_measure)
