"""Groups: each by itself, the gap between them, and files that disagree on them."""

from typing import Any

import pytest

from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.trial import Trial, scored
from holdfast.verdict.decide import decide
from tests.support.evidence import manifest, share
from tests.support.verdicts import policy


def grouped(name: str, bad_of: dict[str, int], *, n: int = 100, **changes: Any) -> Evidence:
    found = []
    for group, bad in bad_of.items():
        for number, value in enumerate(share(bad, n)):
            place = ("bias.groups", f"{group}-{number}", f"{group}-c{number // 2}")
            found.append(scored(*place, value, group=group))
    return gather(manifest(name, **changes), found)


GROUPS = "bias.groups: {{metric: error_rate, max_regression: 0.5, slice_by: group, {rule}}}"


def test_an_advisory_rule_in_a_blocking_check_never_decides() -> None:
    rule = "per_group: {max_regression: 0.15, min_items: 20, tier: advisory}"
    before, after = grouped("p", {"a": 0, "b": 0}), grouped("c", {"a": 80, "b": 0})
    verdict = decide(policy(GROUPS.format(rule=rule), min_items=10), before, after)
    assert verdict.checks[0].groups[0].outcome == "fail"
    assert "group a" in verdict.warnings[0]
    assert verdict.verdict != "fail"


def test_one_group_that_is_forgotten_fails_per_group() -> None:
    rule = "per_group: {max_regression: 0.15, min_items: 20}"
    before = grouped("p", {"a": 10, "b": 10, "c": 10})
    after = grouped("c", {"a": 10, "b": 10, "c": 70})
    verdict = decide(policy(GROUPS.format(rule=rule)), before, after)
    assert verdict.verdict == "fail"
    assert [row.outcome for row in verdict.checks[0].groups] == ["pass", "pass", "fail"]
    assert "group c" in verdict.reasons[0]


def test_a_group_below_its_own_min_items_cannot_pass() -> None:
    rule = "per_group: {max_regression: 0.3, min_items: 51}"
    before = grouped("p", {"a": 10, "b": 10, "c": 10})
    verdict = decide(policy(GROUPS.format(rule=rule)), before, before)
    assert verdict.verdict == "inconclusive"
    assert "50 independent items are too few" in verdict.reasons[0]


def test_a_gap_between_groups_is_shown_either_way() -> None:
    gap = policy(GROUPS.format(rule="gap: {max: 0.2}"))
    before = grouped("p", {"a": 0, "b": 0, "c": 0}, n=400)
    assert decide(gap, before, before).verdict == "pass"
    after = grouped("c", {"a": 0, "b": 0, "c": 320}, n=400)
    verdict = decide(gap, before, after)
    rules = {(rule.rule, rule.group): rule.outcome for rule in verdict.checks[0].rules}
    assert rules["gap", "c"] == "fail"
    assert rules["gap", "a"] == "pass"
    assert verdict.verdict == "fail"


def regrouped(file: Evidence, item: str, group: str | None) -> Evidence:
    moved = [
        Trial(t.probe, t.item, t.cluster, t.outcome, t.badness, group=group)
        if t.item == item
        else t
        for t in file.trials
    ]
    return gather(file.manifest, moved)


@pytest.mark.parametrize("group", ["b", None])
def test_files_that_disagree_on_a_group_are_inconclusive(group: str | None) -> None:
    check = policy(GROUPS.format(rule="gap: {max: 0.5}"))
    before = grouped("p", {"a": 0, "b": 0}, n=400)
    assert decide(check, before, before).verdict == "pass"
    verdict = decide(check, before, regrouped(before, "a-7", group))
    assert verdict.verdict == "inconclusive"
    assert "a-7" in verdict.reasons[0]
    assert verdict.checks[0].p_pass is None


def test_an_unseen_item_of_a_sliced_check_is_of_no_group() -> None:
    plan = {"bias.groups": {"items": 801, "stopped_at": None}}
    before = grouped("p", {"a": 0, "b": 0}, n=400, plan=plan)
    verdict = decide(policy(GROUPS.format(rule="gap: {max: 0.5}")), before, before)
    assert verdict.verdict == "inconclusive"
