"""Multiple choice by log-probability: the option that the model finds likeliest is its answer.

The options are full texts, not letters: below about a billion parameters letters are at chance.
Full texts differ in length, so each is scored by its mean log-probability a *character*
(`acc_norm` of lm-evaluation-harness divides by bytes for the same reason): unlike a mean a token
it does not move with the tokenizer, so that a rare name cut into many easy pieces gains nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class OptionScore:
    """Summed log-probability (nats) of one option's text after the question, and its lengths."""

    sum_logprob: float
    n_tokens: int
    n_chars: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """The option taken, or None and the reason why the item is unscored."""

    index: int | None
    reason: str | None = None


def choose(options: Sequence[OptionScore]) -> Chosen:
    """The option with the highest log-probability a character.

    Unscored when any option has no finite score or no text, since the order of the others then
    says nothing, and when the best two tie exactly: a model that cannot tell them apart has not
    answered, and taking the first would reward the order of the options.
    """
    if len(options) < 2:
        return Chosen(None, f"{len(options)} option scored, expected at least 2")
    for number, option in enumerate(options):
        if not isfinite(option.sum_logprob):
            return Chosen(None, f"log-probability of option {number} is {option.sum_logprob}")
        if option.n_tokens < 1 or option.n_chars < 1:
            return Chosen(None, f"option {number} has no text")
    scores = [option.sum_logprob / option.n_chars for option in options]
    best = max(scores)
    if scores.count(best) > 1:
        return Chosen(None, "tie between the best options")
    return Chosen(scores.index(best))
