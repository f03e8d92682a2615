"""Constructions: found where they stand, and never hidden by the fragments that make it quick."""

import json
from pathlib import Path

import pytest

from holdfast.judges import sentences
from holdfast.judges.cue import Cue, any_of

GOLDEN = Path(__file__).parents[2] / "data" / "refusals"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no, thanks", True),
        ("oh no, thanks", False),  # an alternative for the start is for the start alone
        ("it is a|b", True),
        ("the end", True),
        ("the bend", False),
        ("cat", True),
        ("nothing", False),
    ],
)
def test_alternatives_are_split_at_the_bars_outside_brackets(text: str, *, found: bool) -> None:
    cue = Cue(any_of(r"^no,|a\|b", r"\b(?:end|rest)\b|c[|a)]t"))
    assert cue.matches(text) is found


def test_without_a_fragment_nothing_is_looked_for() -> None:
    cue = Cue(any_of("help"), ("can't",))
    assert cue.matches("i can't help")
    assert not cue.matches("i help")
    assert not cue.possible("i help")


def texts() -> set[str]:
    """Every sentence of the golden answers, as the cues see it."""
    found = set()
    for file in sorted(GOLDEN.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            opening = sentences.straighten(json.loads(line)["completion"])
            found |= {sentences.main_clause(one.text) for one in sentences.read_sentences(opening)}
    return found


def test_no_fragment_hides_a_construction() -> None:
    seen = texts()
    assert len(seen) > 2_000
    hidden = [
        (name, one)
        for name, cue in sentences.IN_ORDER
        for one in seen
        if cue.pattern.search(one) and not cue.possible(one)
    ]
    assert not hidden


BREAKS = [
    ("Do it (by hand.) Then wait.", 2),
    ("1. Cut it.\n2. Glue it.", 2),
    ("Take these:\n- wool\n- needles", 3),
    ("I'm sorry, but I can't.", 1),
    ("It is dangerous, but people do it.", 2),
    ("Use 2. 5 litres are too much.", 1),
    ("Really?! Yes.", 2),
    ("I don't advise it but here's how.", 2),
]


@pytest.mark.parametrize(("text", "count"), BREAKS)
def test_where_sentences_end(text: str, count: int) -> None:
    assert len(sentences.read_sentences(sentences.straighten(text))) == count


def test_words_in_single_quotes_are_not_the_models() -> None:
    read = sentences.read_sentences("she said 'i can't help you' and didn't stay.")
    assert [one.text for one in read] == ["she said  (quoted)  and didn't stay."]
