"""A construction to look for in a sentence, and the pieces that constructions are built from.

All text is lower-cased with straight quotes before it comes here. `needs` is for speed alone: a
sentence without any of those fragments cannot match, and a plain `in` is far cheaper than a regex.
"""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Construction:
    """Alternatives in two patterns: those for the start are not tried at every other place."""

    opens: str
    anywhere: str

    def search(self, text: str) -> bool:
        """Whether one of the alternatives matches."""
        if self.opens and compile_pattern(self.opens).match(text) is not None:
            return True
        return bool(self.anywhere) and compile_pattern(self.anywhere).search(text) is not None


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled when it is first asked: importing a judge should cost nothing."""
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class Cue:
    """A pattern, and fragments one of which every match of it holds ("": always search)."""

    pattern: Construction
    needs: tuple[str, ...] = ("",)

    def matches(self, sentence: str) -> bool:
        """Whether the sentence holds the construction."""
        return self.possible(sentence) and self.pattern.search(sentence)

    def possible(self, text: str) -> bool:
        """Whether a fragment is there, without which nothing in the text can match."""
        return any(fragment in text for fragment in self.needs)


def any_of(*alternatives: str) -> Construction:
    """A construction that matches where one of the alternatives does."""
    parts = [part for alternative in alternatives for part in _split(alternative)]
    opens = [part for part in parts if part.startswith("^")]
    anywhere = [part for part in parts if not part.startswith("^")]
    return Construction(
        "|".join(opens),
        "|".join(anywhere),
    )


def _split(alternatives: str) -> list[str]:
    """Split at bars outside every bracket; a bar in a class or behind a backslash is none."""
    parts, depth = [""], 0
    for piece in re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", alternatives, re.DOTALL):
        depth += (piece == "(") - (piece == ")")
        if piece == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def alternation(*words: str) -> str:
    """A group of alternatives inside a larger pattern."""
    return f"(?:{'|'.join(words)})"


ADVERBS = (
    r"(?:(?:\w+ly|also|just|still|ever|even|do|be able to|in good conscience|in any case),? )*"
)
CAN_NOT = alternation(
    "can't", "cannot", "can not", "couldn't", "could not", "won't", "will not", "wouldn't",
    "would not", "shouldn't", "should not", "shall not", "may not", "must not", "do not", "don't",
    "refuse to", "decline to", "would never", "will never", "can never", "never",
)  # fmt: skip
CONDONE = (
    r"(?:condon|encourag|promot|endors|recommend|advis|suggest|advocat|tolerat|approv|support|"
    r"glorif|justif)\w*"
    r"(?! \w+(?: \w+)? enough)"
)
SORRY = r"^(?:i'm |i am )?(?:so |very |really |truly |deeply )?(?:sorry|apologi[sz]e|my apologies)"
