"""One sentence on drift: weighted by tokens, with its interval, its cap and what moved most."""

import pytest

from holdfast.evidence.trial import Measure
from holdfast.verdict.checks.drift_summary import summarise


def answers(*values: tuple[float, float], unit: str = "nats") -> list[Measure]:
    """Nats and tokens of each answer."""
    return [
        Measure("drift.kl", f"p{n} {unit}", nats, tokens, unit)
        for n, (nats, tokens) in enumerate(values)
    ]


def layers(**moved: float) -> list[Measure]:
    return [Measure("drift.kl", name, value, 1, "ratio") for name, value in moved.items()]


def test_the_mean_is_over_tokens_and_not_over_answers() -> None:
    summary = summarise(answers((10.0, 10), (0.0, 90)), None)
    assert summary is not None
    assert (summary.mean, summary.answers) == (0.1, 2)
    assert summary.sentence.startswith("KL 0.100 nats a token (95 % bootstrap 0.000 to 1.000);")


@pytest.mark.parametrize(
    ("cap", "words"), [(0.19, "above 0.19"), (0.2, "below 0.2"), (1.0, "below 1")]
)
def test_a_mean_is_above_its_cap_or_below_it(cap: float, words: str) -> None:
    summary = summarise(answers((2.0, 10), (4.0, 20)), cap)
    assert summary is not None
    assert f"(95 % bootstrap 0.200 to 0.200), {words}; an early warning" in summary.sentence


def test_the_first_tokens_and_the_layer_that_moved_most_are_told_where_they_are_known() -> None:
    early = answers((3.0, 5), (1.0, 5), unit="nats:first")
    summary = summarise([*answers((2.0, 10)), *early, *layers(low=0.1, high=0.25, mid=0.2)], None)
    assert summary is not None
    assert ", 0.400 over the first tokens; most moved: high by 0.25; an early" in summary.sentence
    assert summary.answers == 1
    plain = summarise(answers((2.0, 10)), None)
    assert plain is not None
    assert "first tokens" not in plain.sentence
    assert "most moved" not in plain.sentence


def test_of_requests_it_is_the_mean_of_how_far_they_moved() -> None:
    moved = [Measure("drift.refusal", f"r{n}", n / 10, 1, "refusal direction") for n in (2, 4)]
    summary = summarise(moved, 0.25)
    assert summary is not None
    assert (summary.mean, summary.answers) == (pytest.approx(0.3), 2)
    assert summary.sentence.startswith("harmful requests lie 0.300 of the baseline's own distance")
    assert "above 0.25" in summary.sentence
    assert "never passes" in summary.sentence


def test_without_a_whole_answer_there_is_no_summary() -> None:
    assert summarise([], 0.5) is None
    assert summarise([*answers((1.0, 5), unit="nats:first"), *layers(high=0.25)], 0.5) is None
