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
    """The text that a row is compared by: all that is asked, and no answer."""
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
    other_bags = [
        (name, words(text)) for name, suite_texts in others.items() for text in suite_texts
    ]
    # any order of words will do, as long as it is one; this one is made of the smaller side
    frequencies = Counter(word for _, bag in other_bags for word in bag)
    largest = max((len(bag) for _, bag in other_bags), default=0)
    places: defaultdict[str, list[int]] = defaultdict(list)  # of each word, by size of its bag
    for place in sorted(range(len(other_bags)), key=lambda at: len(other_bags[at][1])):
        for word in _rarest(other_bags[place][1], frequencies):
            places[word].append(place)

    def first_near(bag: frozenset[str]) -> str | None:
        smallest = floor(NEAR * len(bag))  # both one wide of the exact sizes
        biggest = ceil(len(bag) / NEAR)
        if smallest > largest:
            return None
        candidates: set[int] = set()
        for word in _rarest(bag, frequencies):
            if bag_places := places.get(word):
                start = bisect_left(bag_places, smallest, key=lambda at: len(other_bags[at][1]))
                end = bisect_right(bag_places, biggest, key=lambda at: len(other_bags[at][1]))
                candidates.update(bag_places[start:end])
        return next(
            (other_bags[at][0] for at in sorted(candidates) if _alike(bag, other_bags[at][1])), None
        )

    return [first_near(words(text)) for text in texts]


def _rarest(bag: frozenset[str], frequencies: Mapping[str, int]) -> list[str]:
    """The words of which two near-duplicates must share one."""
    ordered = sorted(bag, key=lambda word: (frequencies[word], word))
    shared = ceil(round(NEAR * len(bag), 9))  # at least; .7 has no exact form
    return ordered[: len(bag) - shared + 1]


def _alike(bag: frozenset[str], other: frozenset[str]) -> bool:
    common = len(bag & other)
    return common >= round(NEAR * (len(bag) + len(other) - common), 9)
