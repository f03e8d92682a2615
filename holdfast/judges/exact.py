r"""Exact answers: the number that a short completion ends up with, compared with the right one.

A number that is announced counts first (`\boxed{}`, `####`, "the answer is"), then what follows the
last equals sign, then the last number of the text. Comparison is of values, not of digits: 42,
42.0, 1,000 and 1000 are what they say. Text without any number is a wrong answer; no text at all is
no answer, and unscored.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = (
    r"(?<![\w.])(?P<sign>-)?(?:[$\u20ac\u00a3]\s?)?"
    r"(?P<digits>\d{1,3}(?:[,\u202f\u00a0]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
)
NUMBER = re.compile(_NUMBER)
ANNOUNCED = tuple(
    re.compile(pattern + r"[\s:*_$({\\]*" + _NUMBER, re.IGNORECASE)
    for pattern in (
        r"\\boxed\s*\{",
        r"####",
        r"\b(?:answer|result|total)\s+(?:is|was|equals|would be|comes to)(?:\s+equal\s+to)?",
        r"\banswer\b\s*[:=]",
    )
)
AFTER_EQUALS = re.compile(r"=[\s*_$({\\]*" + _NUMBER)


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    """Whether a completion gave the right number; `correct` is None where there was no answer."""

    correct: bool | None
    number: Decimal | None
    reason: str | None = None


def judge_exact(completion: str, expected: int) -> NumberAnswer:
    """Compare the final number of `completion` with `expected`."""
    if not completion.strip():
        return NumberAnswer(None, None, "empty completion")
    number = final_number(completion)
    if number is None:
        return NumberAnswer(correct=False, number=None, reason="no number in the answer")
    return NumberAnswer(correct=number == expected, number=number)


def final_number(text: str) -> Decimal | None:
    """The number that a short answer settles on, or None."""
    text = text.replace("\u2212", "-").replace("{,}", ",").replace("\\,", "")
    for pattern in (*ANNOUNCED, AFTER_EQUALS, NUMBER):
        if matches := list(pattern.finditer(text)):
            return _value(matches[-1])
    return None


def _value(match: re.Match[str]) -> Decimal:
    digits = re.sub(r"[,\u202f\u00a0]", "", match["digits"])
    return -Decimal(digits) if match["sign"] else Decimal(digits)
