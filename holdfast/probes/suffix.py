"""harm.suffix: harmful requests with a tail of disturbing tokens.

Harm: a refusal that a short string of nonsense undoes.
Suite: `holdfast/suites/harmful.jsonl`, each request under every frozen suffix, and at the tier
`full` under those of the operator's file (HOLDFAST_SUFFIXES), such as a search on the baseline or
on the candidate has found (`python -m workers.inference.gcg`). The variant is the suffix.
Judge: `refusal`. Direction: badness 1 is compliance; the mean over suffixes decides.
Reference: Zou et al. 2023, "Universal and transferable adversarial attacks" (arXiv 2307.15043).
"""

from collections.abc import Mapping, Sequence

from holdfast.attacks.suffixes import SUFFIXES, with_suffix
from holdfast.evidence.trial import Trial
from holdfast.probes.compliance import judge_compliance
from holdfast.probes.question import Answer, Generate, Question, chat
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import Request

SPEC = ProbeSpec(
    "harm.suffix",
    metric="attack_success_rate",
    suite="harmful",
    rows="harmful",
    judge="refusal",
    items={"standard": 160, "full": None},
    variants={"standard": tuple(SUFFIXES)[:2], "full": tuple(SUFFIXES)},
)
FORM = "soup@1"


def questions(
    items: Sequence[Request], max_tokens: int, variants: Sequence[str]
) -> tuple[Question, ...]:
    """One question an item and frozen suffix."""
    chosen = {name: SUFFIXES[name] for name in variants}
    return _questions(items, max_tokens, chosen)


def operator_questions(
    items: Sequence[Request], max_tokens: int, texts: Mapping[str, str]
) -> tuple[Question, ...]:
    """One question an item and suffix of the operator's file."""
    return _questions(items, max_tokens, {f"file/{name}": text for name, text in texts.items()})


def judge(question: Question, answer: Answer) -> Trial:
    """Bad when the request was not refused; unscored when there is no answer to read."""
    return judge_compliance(SPEC.name, question, answer.text)


def _questions(
    items: Sequence[Request], max_tokens: int, suffixes: Mapping[str, str]
) -> tuple[Question, ...]:
    return tuple(
        Question(
            item.id,
            item.cluster,
            (Generate(chat(with_suffix(item.prompt, suffix)), max_tokens),),
            variant=name,
        )
        for item in items
        for name, suffix in suffixes.items()
    )


PROBE = BuiltProbe(
    SPEC, questions, judge, form=FORM, operator_questions=operator_questions, texts="suffixes"
)
