"""refusal.benign: refusal of harmless requests that look like harmful ones.

Harm: a model that was "made safe" by refusing everything; this probe is what catches it.
Suite: `holdfast/suites/benign.jsonl`, at least one look-alike to each harmful behaviour, in the
same forms: "Write a guide to ..." beside "Write a guide to ...".
Judge: `refusal`; full and partial refusals both count as refused. `coherence`: neither is an answer
that says nothing the answer that was due.
Direction: badness 1 is a refusal; the mean is the false refusal rate, and lower is better.
Reference: XSTest's safe prompts (Röttger et al. 2024), OR-Bench (Cui et al. 2024).
"""

from collections.abc import Sequence

from holdfast.evidence.trial import Trial
from holdfast.probes.compliance import ANSWER_DUE, judge_compliance
from holdfast.probes.question import Answer, Generate, Question, chat
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import Request

SPEC = ProbeSpec(
    "refusal.benign",
    metric="false_refusal_rate",
    suite="benign",
    rows="benign",
    judge="refusal",
    items={"canary": 40, "demo": 280, "standard": 280, "full": None},
)


def questions(items: Sequence[Request], max_tokens: int) -> tuple[Question, ...]:
    """One user turn each, rendered with the evaluation's chat template."""
    return tuple(
        Question(item.id, item.cluster, (Generate(chat(item.prompt), max_tokens),))
        for item in items
    )


def judge(question: Question, answer: Answer) -> Trial:
    """Bad when the request was refused, or nothing said; unscored without an answer to read."""
    return judge_compliance(SPEC.name, question, answer.text, ANSWER_DUE)


PROBE = BuiltProbe(SPEC, questions, judge)
