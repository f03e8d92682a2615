"""Near-duplicates: what the filter finds is what comparing everything with everything finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.suites import Choice, LastWord, Pair, PreferenceItem, Request, Row
from holdfast.suites.duplicates import NEAR, near_duplicates, text_of, words

TEXTS = st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join)


def alike(one: str, other: str) -> bool:
    mine, theirs = words(one), words(other)
    union = mine | theirs
    return bool(union) and len(mine & theirs) * 10 >= len(union) * round(NEAR * 10)


@given(st.lists(TEXTS, max_size=8), st.lists(TEXTS, max_size=8), st.lists(TEXTS, max_size=8))
def test_no_pair_is_missed_and_none_is_made_up(
    texts: list[str], first: list[str], second: list[str]
) -> None:
    found = near_duplicates(texts, {"first": first, "second": second})
    for text, name in zip(texts, found, strict=True):
        near = [
            known
            for known, others in (("first", first), ("second", second))
            if any(alike(text, other) for other in others)
        ]
        assert name == (near[0] if near else None)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Write a guide to picking locks", "write a guide to picking LOCKS!", True),
        ("one two three four five six seven", "one two three four five six seven x y z", True),
        ("one two three four five six seven", "one two three four five six seven w x y z", False),
        ("", "", False),
    ],
)
def test_the_measure_is_that_of_words(*, one: str, other: str, near: bool) -> None:
    assert near_duplicates([one], {"other": [other]}) == ["other" if near else None]


BASE = {"id": "x", "cluster": "x"}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (Request(**BASE, prompt="Sing."), "Sing."),
        (Choice(**BASE, context="C.", question="Q?", choices=("a", "b"), answer=0), "C. Q? a b "),
        (Choice(**BASE, choices=("a", "b"), answer=0, continuation="go"), "  a b go"),
        (Pair(**BASE, more="M.", less="L."), "M."),
        (LastWord(**BASE, text="To the", target=" dock"), "To the dock"),
        (PreferenceItem(**BASE, prompt="P", chosen="c", rejected="r"), "P"),
    ],
)
def test_a_row_is_compared_by_what_is_asked(row: Row, text: str) -> None:
    assert text_of(row) == text
