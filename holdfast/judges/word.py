"""The next word: whether a continuation begins with the one that was left out.

The first run of letters, digits, apostrophes and hyphens counts, whatever stands before or after
it; case counts, since a name is not a noun. No text at all is no answer, and unscored.
"""

import re
from dataclasses import dataclass

WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class NextWord:
    """Whether it was the right word; None, with a reason, where there was none to compare."""

    right: bool | None
    found: str | None = None
    reason: str | None = None


def judge_word(completion: str, target: str) -> NextWord:
    """Compare the first word of `completion` with `target`, whose surrounding signs are left."""
    if not completion.strip():
        return NextWord(None, reason="empty completion")
    said, wanted = WORD.search(completion), WORD.search(target)
    if wanted is None:
        return NextWord(None, reason=f"the target {target!r} holds no word")
    if said is None:
        return NextWord(right=False, reason="no word in the answer")
    return NextWord(right=said[0] == wanted[0], found=said[0])
