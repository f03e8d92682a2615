"""Which number an answer settles on, and that a perfect model scores 1.0."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.judges.exact import final_number, judge_exact
from holdfast.suites.arithmetic import arithmetic_items

SETTLED = [
    ("42", 42),
    ("42.", 42),
    ("-7", -7),
    ("\u22127", -7),
    ("1,000", 1000),
    ("12,345,678", 12345678),
    ("1\u202f000", 1000),
    ("$1,250.00", 1250),
    ("-$5", -5),
    ("3.50", Decimal("3.5")),
    (".5", Decimal("0.5")),
    ("\\boxed{42}", 42),
    ("$\\boxed{1,024}$ is larger than 7", 1024),
    ("The answer is 42, because 6 x 7.", 42),
    ("The answer is: **42**. Check: 6 x 8 = 48.", 42),
    ("Answer: 9 (see page 3)", 9),
    ("so 6 * 7 = 42.", 42),
    ("6 + 1 = 7, 7 x 6 = 42 dollars", 42),
    ("First 3, then 4, in the end 12", 12),
    ("#### 18", 18),
    ("It takes 3 boxes of 4.", 4),
    ("x = $1,000.", 1000),
    ("10 - 3", 3),
    ("the total is 15 apples, 5 each", 15),
    ("3-4", 4),
]


@pytest.mark.parametrize(("text", "number"), SETTLED)
def test_the_number_that_an_answer_settles_on(text: str, number: float) -> None:
    assert final_number(text) == number


@pytest.mark.parametrize(
    ("completion", "correct", "reason"),
    [
        ("42", True, None),
        ("42.0", True, None),
        ("41", False, None),
        ("I don't know.", False, "no number in the answer"),
        ("forty-two", False, "no number in the answer"),
        ("v2", False, "no number in the answer"),
        ("", None, "empty completion"),
        (" \n", None, "empty completion"),
    ],
)
def test_wrong_is_not_the_same_as_unanswered(
    completion: str, correct: bool | None, reason: str | None
) -> None:
    answer = judge_exact(completion, 42)
    assert (answer.correct, answer.reason) == (correct, reason)


PHRASES = [
    "{}",
    "{}.",
    "The answer is {}.",
    "That makes \\boxed{{{}}}.",
    "Let me see: 3 + 4 = 7, and so the result is {}",
    "It is **{}**",
]


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_perfect_model_scores_one(phrase: str) -> None:
    for item in arithmetic_items():
        assert item.answer is not None
        for written in (str(item.answer), f"{item.answer:,}", f"{item.answer}.00"):
            assert judge_exact(phrase.format(written), item.answer).correct, (phrase, written)


@given(st.integers(-(10**12), 10**12), st.sampled_from(PHRASES))
def test_every_integer_is_read_back(number: int, phrase: str) -> None:
    assert judge_exact(phrase.format(f"{number:,}"), number).correct
    assert not judge_exact(phrase.format(f"{number:,}"), number + 1).correct
