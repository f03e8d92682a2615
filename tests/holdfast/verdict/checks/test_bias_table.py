"""BBQ's scores from evidence: which answers count, where they are shown, what they decide."""

import pytest

from holdfast.evidence.file import Evidence, gather, parse_evidence, render_evidence
from holdfast.evidence.trial import Measure, scored, unscored
from holdfast.policy.text import parse_policy
from holdfast.report.render import render
from holdfast.verdict.checks.bias_table import bias_table
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.support.evidence import manifest

POLICY = """
version: 1
name: groups
checks:
  bias.groups: {metric: error_rate, max_regression: 0.9, slice_by: group}
"""


def told(name: str, ambiguous: str, disambiguated: str) -> Evidence:
    """Answers as letters: t the target, o the other, u unknown, x unscored; groups alternate."""
    trials, measures = [], []
    for context, letters in (("ambiguous", ambiguous), ("disambiguated", disambiguated)):
        for n, letter in enumerate(letters):
            place = ("bias.groups", f"{context}-{n:03d}", f"c{n:03d}")
            group = "ab"[n % 2]
            if letter == "x":
                trials.append(unscored(*place, "a tie", group=group))
                continue
            trials.append(scored(*place, float(letter != "u"), group=group))
            value = {"t": 1.0, "o": -1.0, "u": 0.0}[letter]
            measures.append(Measure("bias.groups", place[1], value, 1, context))
    return gather(manifest(name), trials, measures)


BEFORE = told("p", "u" * 120, "to" * 60)
AFTER = told("c", "tu" * 60, "t" * 90 + "o" * 30)


def test_scores_of_both_sides_over_all_and_by_group() -> None:
    rows = {(row.context, row.group): row for row in bias_table("bias.groups", BEFORE, AFTER)}
    assert len(rows) == 6
    ambiguous = rows["ambiguous", None]
    assert (ambiguous.baseline, ambiguous.baseline_named, ambiguous.n) == (0.0, 0, 120)
    assert (ambiguous.candidate, ambiguous.candidate_accuracy) == (0.5, 0.5)
    assert (rows["ambiguous", "a"].candidate, rows["ambiguous", "b"].candidate) == (1.0, 0.0)
    clear = rows["disambiguated", None]
    assert (clear.baseline, clear.candidate) == (0.0, pytest.approx(0.5))


def test_only_what_both_sides_answered_counts() -> None:
    lost = told("c", "x" * 60 + "t" * 60, "")
    (row, *_) = bias_table("bias.groups", BEFORE, lost)
    assert (row.n, row.candidate, row.baseline) == (60, 1.0, 0.0)
    assert bias_table("bias.groups", gather(manifest("p"), BEFORE.trials), AFTER) == ()
    assert bias_table("harm.direct", BEFORE, AFTER) == ()


def test_the_verdict_shows_them_and_nothing_hangs_on_them() -> None:
    policy = parse_policy(POLICY, source="test")
    verdict = decide(policy, BEFORE, AFTER)
    bare = [gather(file.manifest, file.trials) for file in (BEFORE, AFTER)]
    without = decide(policy, *bare)
    assert verdict.checks[0].bias
    assert not without.checks[0].bias
    assert verdict.checks[0].model_copy(update={"bias": ()}) == without.checks[0]
    for form in ("text", "md"):
        assert "ambiguous +0.00 -&gt; +0.50" in render(verdict, form).replace("->", "-&gt;")
    assert Verdict.model_validate_json(verdict.to_json()) == verdict


def test_the_file_holds_them_beside_the_trials() -> None:
    again = parse_evidence(render_evidence(AFTER), source="again")
    assert again.measures == AFTER.measures


def test_rows_stand_over_all_first_and_then_by_group_in_order() -> None:
    rows = [(row.context, row.group) for row in bias_table("bias.groups", BEFORE, AFTER)]
    contexts = ("ambiguous", "disambiguated")
    assert rows == [(context, group) for group in (None, "a", "b") for context in contexts]


def test_both_sides_accuracies_and_named_counts_stand_beside_the_scores() -> None:
    before, after = told("p", "tuuu", "ttou"), told("c", "tout", "tttt")
    ambiguous, clear = bias_table("bias.groups", before, after)[:2]
    assert (ambiguous.baseline_accuracy, ambiguous.candidate_accuracy) == (0.75, 0.25)
    assert (ambiguous.baseline_named, ambiguous.candidate_named) == (1, 3)
    assert (ambiguous.baseline, ambiguous.candidate) == (0.25, 0.25)
    assert (clear.baseline_named, clear.candidate_named, clear.n) == (3, 4, 4)
    assert (clear.baseline, clear.candidate) == (pytest.approx(1 / 3), 1.0)


def test_measures_of_another_probe_or_unit_are_none_of_its_answers() -> None:
    (first, *others) = BEFORE.measures
    moved = Measure("bias.pairs", first.item, 1.0, 1, "disambiguated")
    odd = Measure(first.probe, first.item, 1.0, 1, "nats")
    for measures in ((moved, *others), (odd, *others)):
        lacking = gather(BEFORE.manifest, BEFORE.trials, measures)
        assert bias_table("bias.groups", lacking, BEFORE)[0].n == 119
    beside = gather(BEFORE.manifest, BEFORE.trials, (*BEFORE.measures, moved))
    assert bias_table("bias.groups", beside, BEFORE)[0].n == 120
