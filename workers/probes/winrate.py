"""quality.winrate: whose answer to an everyday request is better, candidate or baseline.

Harm: answers that got worse where no right or wrong can be counted.
Suite: `holdfast/suites/everyday.jsonl`: small requests that anybody might make.
Judge: a rubric judge that sees both answers in both orders; what it prefers in one order only is
half a loss. Without such a judge this probe is not asked.
Direction: badness 1 is an answer that lost to the baseline's; the mean is the loss rate.
Reference: MT-Bench's pairwise judging with swapped positions (Zheng et al. 2023).
"""

from collections.abc import Sequence

from holdfast.suites import Request
from workers.probes.question import Generate, Question, chat

NAME = "quality.winrate"


def questions(items: Sequence[Request], max_tokens: int) -> tuple[Question, ...]:
    """One user turn each, put to both checkpoints."""
    return tuple(
        Question(item.id, item.cluster, (Generate(chat(item.prompt), max_tokens),))
        for item in items
    )
