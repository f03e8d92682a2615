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
    word: str | None = None
    reason: str | None = None


def judge_word(completion: str, target: str) -> NextWord:
    """Compare the first word of `completion` with `target`, whose surrounding signs are left."""
    if not completion.strip():
        return NextWord(None, reason="empty completion")
    first_word, target_word = WORD.search(completion), WORD.search(target)
    if target_word is None:
        return NextWord(None, reason=f"the target {target!r} holds no word")
    if first_word is None:
        return NextWord(right=False, reason="no word in the answer")
    return NextWord(right=first_word[0] == target_word[0], word=first_word[0])
