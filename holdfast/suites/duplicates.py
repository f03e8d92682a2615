"""Near-duplicates: texts that say almost the same, by the words that they share.

Public sets overlap (AdvBench and JailbreakBench in some nineteen requests), and what stands in
two suites is held out of neither. Two texts are near-duplicates when the Jaccard similarity of
their sets of words is at least NEAR. Only texts that share one of their rarest words are compared,
of as many words as that similarity implies (prefix filtering, Chaudhuri et al. 2006): large sets
take seconds, and no pair is missed.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor

from holdfast.suites.items import Choice, LastWord, Pair, Row

NEAR = 0.7

_WORD = re.compile(r"[\w']+")


def words(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(_WORD.findall(text.lower()))


def text_of(row: Row) -> str:
    """What a row is compared by: all that is asked, and no answer."""
    match row:
        case Choice():
            return " ".join((row.context, row.question, *row.choices, row.continuation or ""))
        case Pair():
            return row.more
        case LastWord():
            return row.text + row.target
    return row.prompt


def near_duplicates(texts: Sequence[str], others: Mapping[str, Iterable[str]]) -> list[str | None]:
    """For each text the first of the named others that holds a near-duplicate of it, or None."""
    known = [(name, words(text)) for name, own in others.items() for text in own]
    # any order of words will do, as long as it is one; this one is made of the smaller side
    seen = Counter(word for _, bag in known for word in bag)
    largest = max((len(bag) for _, bag in known), default=0)
    places: defaultdict[str, list[int]] = defaultdict(list)  # of each word, by size of its bag
    for place in sorted(range(len(known)), key=lambda at: len(known[at][1])):
        for word in _rarest(known[place][1], seen):
            places[word].append(place)

    def first_near(bag: frozenset[str]) -> str | None:
        least, most = floor(NEAR * len(bag)), ceil(len(bag) / NEAR)  # one wide of the exact sizes
        if least > largest:
            return None
        found: set[int] = set()
        for word in _rarest(bag, seen):
            if own := places.get(word):
                start = bisect_left(own, least, key=lambda at: len(known[at][1]))
                end = bisect_right(own, most, key=lambda at: len(known[at][1]))
                found.update(own[start:end])
        return next((known[at][0] for at in sorted(found) if _alike(bag, known[at][1])), None)

    return [first_near(words(text)) for text in texts]


def _rarest(bag: frozenset[str], seen: Mapping[str, int]) -> list[str]:
    """The words of which two near-duplicates must share one."""
    ordered = sorted(bag, key=lambda word: (seen[word], word))
    shared = ceil(round(NEAR * len(bag), 9))  # at least; .7 has no exact form
    return ordered[: len(bag) - shared + 1]


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    common = len(one & other)
    return common >= round(NEAR * (len(one) + len(other) - common), 9)
