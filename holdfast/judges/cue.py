"""A construction to look for in a sentence, and the pieces that constructions are built from.

All text is lower-cased with straight quotes before it comes here. `needs` is for speed alone: a
sentence without any of those fragments cannot match, and a plain `in` is far cheaper than a regex.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cue:
    """A pattern, and fragments one of which every match of it holds; none: always search."""

    pattern: re.Pattern[str]
    needs: tuple[str, ...] = ()

    def found(self, sentence: str) -> bool:
        """Whether the sentence holds the construction."""
        if not self.needs:
            return self.pattern.search(sentence) is not None
        for fragment in self.needs:
            if fragment in sentence:
                return self.pattern.search(sentence) is not None
        return False


def any_of(*alternatives: str) -> re.Pattern[str]:
    """A pattern that matches where one of the alternatives does."""
    return re.compile("|".join(alternatives))


def one_of(*words: str) -> str:
    """A group of alternatives inside a larger pattern."""
    return f"(?:{'|'.join(words)})"


ADVERBS = (
    r"(?:(?:\w+ly|also|just|still|ever|even|do|be able to|in good conscience|in any case),? )*"
)
CAN_NOT = one_of(
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
