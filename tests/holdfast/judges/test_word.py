import pytest

from holdfast.judges.word import judge_word


@pytest.mark.parametrize(
    ("completion", "target", "right"),
    [
        (" keys", " keys", True),
        ("keys.", " keys", True),
        (' "keys" and', " keys", True),
        (" key", " keys", False),
        (" keyser", " keys", False),
        (" Keys", " keys", False),
        (" the keys", " keys", False),
        (" don't", " don't", True),
        (" don", " don't", False),
        (" well-known.", " well-known", True),
        (" Über", " Über", True),
        (" ...!", " keys", False),
        ("", " keys", None),
        (" \n", " keys", None),
        (" keys", " ...", None),
    ],
)
def test_the_first_word_decides(completion: str, target: str, right: bool | None) -> None:
    found = judge_word(completion, target)
    assert found.right is right
    assert right is not None or found.reason
