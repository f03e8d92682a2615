"""Row types: what a suite may hold, and what is refused before a probe sees it."""

import pytest
from pydantic import ValidationError

from holdfast.suites import LastWord, Pair, canonical
from holdfast.suites.items import SuiteItem

BASE = {"id": "one", "cluster": "one"}

REFUSED: list[tuple[type[SuiteItem], dict[str, object], str]] = [
    (Pair, {"more": "They are late.", "less": "They are late."}, "the same sentence"),
    (Pair, {"more": "They are late.", "less": ""}, "at least 1 character"),
    (Pair, {"more": "They are late."}, "Field required"),
    (LastWord, {"text": "She went to the", "target": "dock"}, "should match pattern"),
    (LastWord, {"text": "She went to the", "target": "  dock"}, "should match pattern"),
    (LastWord, {"text": "She went to the", "target": " dock today"}, "should match pattern"),
    (LastWord, {"text": "She went to the ", "target": " dock"}, "belongs to target"),
    (LastWord, {"text": "", "target": " dock"}, "at least 1 character"),
]


@pytest.mark.parametrize(("form", "fields", "said"), REFUSED)
def test_a_row_that_cannot_be_scored_is_refused(
    form: type[SuiteItem], fields: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        form.model_validate(BASE | fields)


def test_a_pair_and_a_last_word_come_back_from_their_line() -> None:
    pair = Pair(id="p", cluster="p", group="age", more="The old one.", less="The young one.")
    word = LastWord(id="w", cluster="w", text="She led him to the", target=" dock")
    assert Pair.model_validate_json(canonical(pair)) == pair
    assert LastWord.model_validate_json(canonical(word)) == word
    assert word.text + word.target == "She led him to the dock"
