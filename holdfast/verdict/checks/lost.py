"""The value that a lost pair is taken for in each test, and all that it may have been.

The test that could pass takes it for the worst, the one that could fail for no flip. Where the
order counts, the worst value need not give the worst p (see `stats.betting`), so there a lost pair
has a range: from what it is taken for to all that the side which is there allows.
"""

from dataclasses import dataclass

WORSE, UNCHANGED, BETTER = 1.0, 0.0, -1.0
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Lost:
    """The number that a lost pair is `taken` for, and how far from it, `until`, it may be."""

    taken: float
    until: float

    def span(self, low: float, high: float) -> Span:
        """The lowest and highest number of a lost pair that can only be from `low` to `high`."""
        first, last = sorted((self.taken, self.until))
        ends = [min(max(end, first), last) for end in (low, high)]
        return min(self.taken, *ends), max(self.taken, *ends)


ANY, ANY_OF_REST = Lost(WORSE, until=BETTER), Lost(BETTER, until=WORSE)  # for a pass
NO_BETTER, NO_WORSE = Lost(UNCHANGED, until=WORSE), Lost(UNCHANGED, until=BETTER)  # for a fail


def change_span(before: float | None, after: float | None, lost: Lost) -> Span:
    """The lowest and the highest d of a pair; both are d where neither side is lost."""
    first, last = _span(before), _span(after)
    low, high = last[0] - first[1], last[1] - first[0]
    return lost.span(low, high) if before is None or after is None else (low, high)


def level_span(before: float | None, after: float | None, lost: Lost) -> Span:
    """The lowest and the highest badness after; that of a lost pair is not taken as it is."""
    low, high = _span(after)
    return lost.span(low, high) if before is None or after is None else (low, high)


def _span(badness: float | None) -> Span:
    return (0.0, 1.0) if badness is None else (badness, badness)
