"""Whether rows were learnt under a safety prompt, the case in which serving with one helps least.

PTST (https://arxiv.org/abs/2402.18540) trains without a safety prompt and serves with one. Where
the training had the prompt that is served, the refusals were unlearnt under that very prompt.
"""

import re
from collections.abc import Sequence

from holdfast.repairs.task_data import Row
from holdfast.suites.duplicates import near_duplicates

_SAFETY = re.compile(
    r"\b(?:harm(?:ful|s|less)?|unsafe|safely|safety|illegal|unethical|dangerous|toxic|refuse)\b",
    re.IGNORECASE,
)


def safety_prompt_warning(rows: Sequence[Row], served: str) -> str | None:
    """A sentence where rows carried the prompt that is `served`, or another one; None: none did.

    The served one: word for word before what was asked, or nearly so as the system turn. Another
    one: a system turn that speaks of harm or refusing.
    """
    systems = [row.history[0][1] if _has_system_turn(row) else "" for row in rows]
    near = near_duplicates(systems, {"served": [served]})
    words = _plain(served)
    carried = sum(
        seen is not None
        or (words != "" and (words in _plain(system) or _plain(row.prompt).startswith(words)))
        for row, system, seen in zip(rows, systems, near, strict=True)
    )
    others = sum(_SAFETY.search(system) is not None for system in systems)
    if carried:
        what, count = "the safety prompt that it is served with", carried
    elif others:
        what, count = "a safety prompt of their own", others
    else:
        return None
    return (
        f"{count} of {len(rows)} training rows carried {what}: a prompt that was there while "
        "refusals were unlearnt brings back the fewest of them (PTST's worst case, "
        "arXiv 2402.18540); serve with a prompt that says it otherwise, or take another recipe"
    )


def _has_system_turn(row: Row) -> bool:
    return bool(row.history) and row.history[0][0] == "system"


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
