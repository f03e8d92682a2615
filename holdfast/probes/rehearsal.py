"""The rehearsal pool put to the trusted baseline, whose own answers a repair may train on.

No probe: nothing is judged here and no evidence comes of it. It shares the form of one so that
its answers go through the same cache.
"""

from collections.abc import Sequence

from holdfast.probes.question import Generate, Question, chat
from holdfast.suites import Request


def questions(items: Sequence[Request], max_tokens: int) -> tuple[Question, ...]:
    """One user turn each, rendered with the evaluation's chat template."""
    return tuple(
        Question(item.id, item.cluster, (Generate(chat(item.prompt), max_tokens),))
        for item in items
    )
