"""The words that the prompts of a task share, around what each of them asks.

Many data sets write every prompt alike: an instruction before it, a question between headings, a
line on the form of the answer behind it. A model that learnt them may answer whatever stands there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix

FEWEST = 8  # different prompts; what fewer share may be chance

_BEFORE = re.compile(r".*(?:\n|: |[.!?] )", re.DOTALL)  # up to where something new can begin
_AFTER = re.compile(r"\n|(?<=[.!?:])\s|\A\s(?=[^a-z\s]\S*\s\S+\s)")  # a line or a sentence


@dataclass(frozen=True, slots=True)
class Frame:
    """The words before and after; both empty where the prompts of a task share nothing."""

    before: str = ""
    after: str = ""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.before or self.after)

    def around(self, words: str) -> str:
        """These words in the frame."""
        return f"{self.before}{words}{self.after}"

    def holds(self, prompt: str) -> bool:
        """Whether a prompt stands in this frame."""
        inside = len(prompt) - len(self.before) - len(self.after)
        return inside > 0 and prompt.startswith(self.before) and prompt.endswith(self.after)


def frame_of(prompts: Sequence[str]) -> Frame:
    """The frame of more than half of the different prompts; cut to whole sentences or lines.

    One odd row, or a second form that is rarer, does not hide it.
    """
    distinct = set(prompts)
    if len(distinct) < FEWEST:
        return Frame()
    before = _BEFORE.match(_shared_beginning(distinct))
    shared_end = _shared_beginning({prompt[::-1] for prompt in distinct})[::-1]
    after = _AFTER.search(shared_end)
    frame = Frame(before.group() if before else "", shared_end[after.start() :] if after else "")
    return frame if re.search(r"\w", frame.around("")) else Frame()


def _shared_beginning(texts: set[str]) -> str:
    """The longest beginning of more than half of these texts: they are neighbours in order."""
    ordered, half = sorted(texts), len(texts) // 2
    pairs = zip(ordered, ordered[half:], strict=False)
    return max((commonprefix(pair) for pair in pairs), key=len)  # noqa: RUF071  # characters
