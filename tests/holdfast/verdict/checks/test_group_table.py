"""The forgetting table: what counts as a unit, what is left out, and where it is shown."""

import pytest

from holdfast.evidence.file import gather
from holdfast.policy.text import parse_policy
from holdfast.report.render import render
from holdfast.verdict.checks.group_table import group_table
from holdfast.verdict.checks.pairs import Pairs, TrialPair, pair_up
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.support.evidence import manifest, share, trials

POLICY = """
version: 1
name: groups
checks:
  bias.groups: {metric: error_rate, max_regression: 0.5, slice_by: group,
    gap: {max: 0.5, tier: advisory}}
"""


def pair(group: str, cluster: int, before: float | None, after: float | None) -> TrialPair:
    item = f"{group}-{cluster}-{before}-{after}"
    return TrialPair(item, "plain", f"c{cluster}", group, before, after)


def test_items_count_equally_and_lost_ones_not_at_all() -> None:
    pairs = [pair("a", 0, 0, 1), pair("a", 0, 0, 0), pair("a", 1, 1, 1), pair("a", 2, None, 1)]
    pairs += [pair("b", 0, 1, 0), pair("b", 3, 1, 1), pair("lost", 0, 1, None)]
    table = group_table("bias.groups", Pairs(tuple(pairs)))
    assert table is not None
    assert table.names == ("a", "b")
    ours, theirs = table.of("a"), table.of("b")
    assert ours is not None
    assert theirs is not None
    assert (ours.n, ours.forgetting, ours.biased) == (3, 1 / 3, pytest.approx(1 / 3 + 1 / 2))
    assert ours.relative == pytest.approx((1 / 3) / (2 / 3 - 1 / 3))  # three options: chance 1/3
    assert (theirs.n, theirs.forgetting, theirs.relative) == (2, -1 / 2, None)
    assert table.of("lost") is None


def test_one_group_has_nobody_to_be_compared_with() -> None:
    assert group_table("bias.groups", Pairs((pair("a", 0, 0, 1), pair("a", 1, 0, 0)))) is None
    assert group_table("bias.groups", Pairs(())) is None


def judged(worse_of_a: int) -> Verdict:
    """Three groups of 60 scenarios, two items each; group `a` loses items, the others none."""
    names = ("a", "b", "c")
    before = trials("bias.groups", share(0, 360), clusters_of=2, groups=names)
    of_a = [place for place, trial in enumerate(before) if trial.group == "a"][:worse_of_a]
    after = [1.0 if place in of_a else 0.0 for place in range(360)]
    found = trials("bias.groups", after, clusters_of=2, groups=names)
    policy = parse_policy(POLICY, source="test")
    return decide(policy, gather(manifest("p"), before), gather(manifest("c"), found))


def test_the_verdict_carries_the_table_and_warns_of_a_range_that_chance_does_not_make() -> None:
    verdict = judged(40)
    (check,) = verdict.checks
    assert check.spread is not None
    first = check.groups[0]
    assert first.group == "a"
    assert (first.forgetting, first.biased) == pytest.approx((1 / 3, 1 / 3))
    assert first.shrunken is not None
    assert 0.3 < first.shrunken < 1 / 3
    assert first.p_biased is not None
    assert first.p_biased < 0.001
    assert check.groups[1].p_biased == 1.0
    assert check.spread.range == pytest.approx(1 / 3)
    assert check.spread.range_95 < 0.2
    assert any("forgetting differs by 0.33" in warning for warning in verdict.warnings)
    for form in ("text", "md"):
        assert "+0.33" in render(verdict, form)
        assert "range 0.33" in render(verdict, form)
    assert Verdict.model_validate_json(verdict.to_json()) == verdict


def test_it_decides_nothing() -> None:
    quiet, unequal = judged(0), judged(40)
    assert not quiet.warnings
    assert (quiet.verdict, unequal.verdict) == ("pass", "pass")
    assert quiet.checks[0].spread is not None
    assert quiet.checks[0].spread.p_range == 1.0


def test_pairs_of_both_files_make_it() -> None:
    before = gather(manifest("p"), trials("bias.groups", [0, 0, 0, 0], groups=("a", "b")))
    after = gather(manifest("c"), trials("bias.groups", [1, 0, None, 0], groups=("a", "b")))
    table = group_table("bias.groups", pair_up("bias.groups", before, after))
    assert table is not None
    assert [g.n for g in table.forgetting.groups] == [1, 2]
