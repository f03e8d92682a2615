"""A rule's sentence: what moved, how surely, and against which bound."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.verdict.checks import rule_tests
from holdfast.verdict.checks.findings import RuleFinding
from holdfast.verdict.wording import BEYOND, WITHIN, Numbers, explain

ANSWER = rule_tests.TestedRule(0.012, 0.34, (-0.01, 0.123))
PLAIN = RuleFinding("max_regression", "blocking", None, 0.1, 160, 160, 0.0567, ANSWER)


def said(outcome: Any, *, alpha: float = 0.05, **changes: Any) -> str:
    numbers = Numbers("error_rate", changes.pop("before", 0.2), 0.2567, alpha)
    return explain(replace(PLAIN, **changes), outcome, 0.678, numbers)


INTERVAL = "90 % interval -0.01 to +0.12"
MOVED = f"error rate 0.20 -> 0.26 (+0.06, {INTERVAL})"
OPEN = "to be beyond it (Holm-adjusted p = 0.68)"


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("pass", "shown to be within the margin 0.10 (p = 0.01)"),
        ("fail", "shown worse than the margin 0.10 (Holm-adjusted p = 0.7)"),
        (
            "inconclusive",
            f"shown neither {WITHIN['max_regression']} 0.10 (p = 0.012) nor {OPEN}",
        ),
    ],
)
def test_each_outcome_has_its_own_sentence(outcome: str, end: str) -> None:
    assert said(outcome) == f"{MOVED}, {end}"


def test_an_obstacle_is_the_reason_of_what_is_open_and_of_nothing_else() -> None:
    assert said("inconclusive", obstacle="too few") == f"{MOVED}; too few"
    assert "too few" not in said("fail", obstacle="too few")


def test_how_many_items_would_decide_stands_where_it_is_known_and_open() -> None:
    words = "; about 300 would decide it where nothing has changed"
    assert said("inconclusive", items_to_decide=300).endswith(words)
    assert words not in said("pass", items_to_decide=300)


OBSERVED: dict[str, tuple[dict[str, Any], str]] = {
    "of a group": ({"rule": "per_group", "group": "x"}, f"group x: {MOVED}"),
    "beside an anchor": ({"against": "anchor"}, f"beside the anchor, {MOVED}"),
    "a cap": ({"rule": "max"}, "error rate 0.06 (90 % interval -0.01 to 0.12)"),
    "a cap on silence": (
        {"rule": "max_incoherent"},
        "incoherent answers 0.06 (90 % interval -0.01 to 0.12)",
    ),
    "a gap": (
        {"rule": "gap", "group": "x", "against": "anchor"},
        f"beside the anchor, group x: error rate got +0.06 worse than all others ({INTERVAL})",
    ),
    "a kept gain": ({"rule": "min_gain_kept"}, "keeps 0.06 of the gain in error rate"),
    "no number": (
        {"estimate": None, "before": None},
        f"error rate unknown -> 0.26 (unknown, {INTERVAL})",
    ),
    "no interval": (
        {"rule": "max", "estimate": None, "answer": rule_tests.TestedRule(1.0, 1.0, None)},
        "error rate unknown (no interval)",
    ),
}


@pytest.mark.parametrize(("changes", "words"), OBSERVED.values(), ids=OBSERVED.keys())
def test_what_was_observed_is_told_as_its_rule_measures_it(
    changes: dict[str, Any], words: str
) -> None:
    assert said("inconclusive", obstacle="open", **changes) == f"{words}; open"


def test_the_intervals_level_is_that_of_both_ends() -> None:
    assert "98 % interval" in said("pass", alpha=0.01)
    assert "99.5 % interval" in said("pass", alpha=0.0025)


@pytest.mark.parametrize("rule", sorted(WITHIN))
def test_every_rule_has_words_for_either_answer(rule: Any) -> None:
    assert WITHIN.keys() == BEYOND.keys()
    assert f"shown {WITHIN[rule]} 0.10" in said("pass", rule=rule)
    assert f"shown {BEYOND[rule]} 0.10" in said("fail", rule=rule)
