"""The option that wins, and the cases in which none does."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.judges.choice import Chosen, OptionScore, choose


def score(logprob: float, chars: int = 10, tokens: int = 3) -> OptionScore:
    return OptionScore(logprob, tokens, chars)


@pytest.mark.parametrize(
    ("options", "index"),
    [
        ([score(-5), score(-3), score(-9)], 1),
        ([score(-6, chars=30), score(-5, chars=5)], 0),  # a longer text is not punished
        ([score(-6, 10, tokens=1), score(-5.9, 10, tokens=6)], 1),  # nor how it is cut
        ([score(0.0), score(-1)], 0),
    ],
)
def test_the_likeliest_a_character_wins(options: list[OptionScore], index: int) -> None:
    assert choose(options) == Chosen(index)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([score(-5), score(nan), score(-9)], "log-probability of option 1 is nan"),
        ([score(-5), score(-inf)], "log-probability of option 1 is -inf"),
        ([score(inf), score(-1)], "log-probability of option 0 is inf"),
        ([score(-4), score(-4), score(-9)], "tie between the best options"),
        ([score(-5), score(-1, chars=0)], "option 1 has no text"),
        ([score(-5), score(-1, tokens=0)], "option 1 has no text"),
        ([score(-5)], "1 option scored, expected at least 2"),
        ([], "0 option scored, expected at least 2"),
    ],
)
def test_no_answer_is_unscored_never_a_guess(options: list[OptionScore], words: str) -> None:
    assert choose(options) == Chosen(None, words)


def test_a_tie_among_losers_does_not_matter() -> None:
    assert choose([score(-9), score(-9), score(-1)]).index == 2


@given(st.lists(st.floats(-1e3, 0), min_size=2, max_size=6, unique=True), st.randoms())
def test_the_order_of_the_options_does_not_matter(logprobs: list[float], rng: object) -> None:
    options = [score(logprob) for logprob in logprobs]
    chosen = choose(options)
    turned = choose(options[::-1])
    assert (chosen.index is None) == (turned.index is None)
    if chosen.index is not None and turned.index is not None:
        assert options[chosen.index] == options[::-1][turned.index]
