"""The words of an answer: the same whether it has just come or was stored."""

from typing import Any

import pytest

from holdfast.evidence.answer_text import stored_text
from holdfast.probes.question import Answer

SCORE = {"logprob": -1.0, "tokens": 2}


def completion(text: str, opening: str = "") -> dict[str, Any]:
    return {"text": text, "finish": "stop", "tokens": 3, "opening": opening}


@pytest.mark.parametrize(
    ("replies", "text"),
    [
        ([completion("b", "a ")], "a b"),
        ([{"said": [completion("first"), completion("last")]}], "last"),
        ([completion("", "Sure, here is")], ""),  # the opening alone is nobody's answer
        ([completion(" \n", "Sure, here is")], ""),
        ([completion(" ")], ""),
    ],
)
def test_a_stored_answer_reads_as_a_live_one(replies: list[dict[str, Any]], text: str) -> None:
    document = {"replies": replies}
    assert stored_text(document) == text == Answer.from_json(document).full_text


@pytest.mark.parametrize("document", [None, {"replies": []}, {"replies": [SCORE]}])
def test_scores_and_absent_answers_have_no_words(document: dict[str, Any] | None) -> None:
    assert stored_text(document) is None
