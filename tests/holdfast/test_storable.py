"""What databases cannot hold: it goes in escaped and comes back, and all else stays as it is."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.storable import ESCAPE, dumps, escape, loads, unescape

ODD = "\0\ud800\udfff\ud83d" + ESCAPE + "0124bd8f"  # what is escaped, and what escapes are made of
TEXTS = st.text(alphabet=st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")))
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)),
)


@given(TEXTS)
def test_every_text_comes_back_as_it_was_and_can_be_stored_meanwhile(text: str) -> None:
    stored = escape(text)
    assert "\0" not in stored
    assert stored.encode().decode() == stored  # no half of a surrogate pair
    assert unescape(stored) == text


@given(DOCUMENTS)
def test_every_document_comes_back_as_it_was_from_either_database(document: Any) -> None:
    stored = dumps(document)
    assert loads(stored) == document
    as_postgres_gives_it = json.dumps(json.loads(stored), ensure_ascii=False).encode()
    assert b"\\u0000" not in as_postgres_gives_it
    assert loads(as_postgres_gives_it) == document


@pytest.mark.parametrize(
    "text",
    ["", "Grüße, 你好, 🙂", "\x01\x7f\ufffd", f"{ESCAPE} a symbol", f"{ESCAPE}00", "\\u0000"],
)
def test_any_other_text_is_stored_as_it_is(text: str) -> None:
    assert escape(text) == text
    assert dumps({"text": text}) == json.dumps({"text": text})


def test_what_is_escaped_can_be_seen_and_what_looks_so_is_told_from_it() -> None:
    assert escape("a\0b\ud800") == f"a{ESCAPE}0000b{ESCAPE}d800"
    assert escape(f"{ESCAPE}0000") == f"{ESCAPE}241b0000"


def test_a_number_that_is_not_finite_is_null() -> None:
    document = {"loss": math.nan, "bounds": [math.inf, -math.inf, 1.5], "said": "NaN"}
    assert dumps(document) == '{"loss": null, "bounds": [null, null, 1.5], "said": "NaN"}'
