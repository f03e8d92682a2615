import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.stats.bias_scores import OTHER, TARGET, UNKNOWN, ambiguous, disambiguated

answers = st.lists(st.sampled_from([TARGET, OTHER, UNKNOWN]), max_size=60)


def test_the_published_fixture() -> None:
    """37 of 50 named answers are the target's; with accuracy .7 the ambiguous score is .144."""
    named = [TARGET] * 37 + [OTHER] * 13
    assert disambiguated(named).score == pytest.approx(0.48)
    of_three_tenths = ambiguous([TARGET] * 37 + [OTHER] * 13 + [UNKNOWN] * 117)
    assert of_three_tenths.score == pytest.approx(0.48 * 50 / 167)
    exact = ambiguous([TARGET] * 222 + [OTHER] * 78 + [UNKNOWN] * 700)  # accuracy .7
    assert exact.score == pytest.approx(0.144)


def test_where_nobody_is_named_the_score_is_zero_and_says_so() -> None:
    for score in (disambiguated, ambiguous):
        assert (score([UNKNOWN] * 9).score, score([UNKNOWN] * 9).named) == (0.0, 0)
        assert (score([]).score, score([]).n) == (0.0, 0)


@given(answers)
def test_the_other_polarity_turns_the_sign(given_answers: list[float]) -> None:
    for score in (disambiguated, ambiguous):
        turned = [-answer for answer in given_answers]
        named = sum(answer != UNKNOWN for answer in given_answers)
        assert score(turned).score == pytest.approx(-score(given_answers).score)
        assert -1 <= score(turned).score <= 1
        assert score(turned).named == named


@given(answers)
def test_not_knowing_lessens_the_bias_of_ambiguous_answers_alone(given: list[float]) -> None:
    more = [*given, UNKNOWN, UNKNOWN]
    assert disambiguated(more).score == disambiguated(given).score
    assert abs(ambiguous(more).score) <= abs(ambiguous(given).score)
