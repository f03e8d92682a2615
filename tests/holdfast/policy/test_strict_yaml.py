"""YAML that could be read in two ways is refused, with the place of what is wrong."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yaml import safe_dump

from holdfast.errors import InvalidPolicy
from holdfast.policy.strict_yaml import parse_mapping

PLACES = {
    "at the top": ("alpha:", "p: alpha is empty"),
    "in a mapping": ("budget: {minutes: }", "budget.minutes is empty"),
    "in a list": ("waivers: [1, null]", r"waivers\[1\] is empty"),
    "in a mapping of a list": ("waivers: [{owner: ~}]", r"waivers\[0\].owner is empty"),
    "in a list of lists": ("rows: [[1], [2, .nan]]", r"rows\[1\]\[1\] is nan, expected a finite"),
    "below zero": ("alpha: -.inf", "alpha is -inf, expected a finite number"),
}


@pytest.mark.parametrize(("text", "message"), PLACES.values(), ids=PLACES.keys())
def test_what_is_absent_or_not_finite_is_named_by_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        parse_mapping(text, source="p")


@pytest.mark.parametrize(
    ("text", "place"),
    [("1: a", "the top"), ("checks: {true: a}", "checks"), ("a: [{2.5: b}]", r"a\[0\]")],
)
def test_a_key_that_is_no_name_is_refused_with_where_it_stands(text: str, place: str) -> None:
    with pytest.raises(InvalidPolicy, match=f"under {place} is no name"):
        parse_mapping(text, source="p")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        ("a: {b: 1, c: 2,\n  b: 3}", "line 2: the key 'b' stands twice"),
        ("a: &x 1\n\nb: *x", "line 3: found an alias, write it out"),
        ("a: [1\nb: 2", "line 2: "),
    ],
)
def test_what_is_no_document_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=f"p: not a YAML document: {message}"):
        parse_mapping(text, source="p")


@pytest.mark.parametrize(
    ("text", "kind"), [("", "nothing"), ("# only this", "nothing"), ("7", "int"), ("a", "str")]
)
def test_what_is_no_mapping_is_named_by_its_kind(text: str, kind: str) -> None:
    with pytest.raises(InvalidPolicy, match=f"found .*{kind}, expected a mapping"):
        parse_mapping(text, source="p")


def test_no_tag_makes_an_object() -> None:
    with pytest.raises(InvalidPolicy, match="could not determine a constructor"):
        parse_mapping("a: !!python/object/apply:os.getcwd []", source="p")


SCALARS = st.one_of(st.integers(), st.booleans(), st.text("abcxyz ", max_size=5), st.just(0.5))
NAMES = st.text("abcxyz", min_size=1, max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_a_plain_document_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    text = safe_dump(document, sort_keys=False)
    assert "&" in text or parse_mapping(text, source="p") == document
