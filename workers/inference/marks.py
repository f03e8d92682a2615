"""The marks around a trace of thoughts as one tokenizer writes them.

A mark whose parts are tokens of their own is found among the ids, before anything is decoded: so
nothing that a model spells out can pass for it. Where a tokenizer has no such tokens, the mark is
looked for in the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.models.reasoning import TraceMarks

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark as text, and as tokens; `exact` where it is always these."""

    text: str
    ids: tuple[int, ...]
    exact: bool

    def find(self, ids: Sequence[int], tokenizer: Any) -> Span | None:
        """Where it begins and ends among the ids."""
        if self.exact:
            width = len(self.ids)
            places = range(len(ids) - width + 1)
            return next(
                ((at, at + width) for at in places if tuple(ids[at : at + width]) == self.ids), None
            )
        if self.text not in tokenizer.decode(ids):
            return None
        ends = range(1, len(ids) + 1)
        end = next(at for at in ends if self.text in tokenizer.decode(ids[:at]))
        starts = range(end - 1, -1, -1)
        return next(at for at in starts if self.text in tokenizer.decode(ids[at:end])), end


@dataclass(frozen=True, slots=True)
class SpelledMarks:
    """A table's entry in the tokens of one tokenizer."""

    texts: TraceMarks
    opening: Mark
    closings: tuple[Mark, ...]
    forced: tuple[int, ...]
    between: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether drawing can stop at a trace's end by itself."""
        return all(mark.exact for mark in self.closings)


def spell(marks: TraceMarks, tokenizer: Any, named: set[str]) -> SpelledMarks:
    """The marks as this tokenizer's tokens; `named` are those that it has as one token each."""

    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

    exact = named.issuperset(marks.tokens)
    opening, *closings = (Mark(text, ids(text), exact) for text in (marks.opening, *marks.closings))
    return SpelledMarks(marks, opening, tuple(closings), ids(marks.forced), ids(marks.between))


def last_tokens(marks: Sequence[Mark]) -> frozenset[int]:
    """The tokens that drawing stops at, so as to see whether a mark is complete."""
    return frozenset(mark.ids[-1] for mark in marks if mark.exact)
