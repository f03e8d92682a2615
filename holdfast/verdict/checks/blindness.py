"""Marks rules that could not have failed, by the fail tests on the worst that can happen.

Where a baseline complies with everything, a candidate cannot get worse, and a pass says nothing.
So each rule is asked of a hypothetical candidate, by the same tests: what it speaks of has turned
bad as a whole (all items; of a rule about a group, the items of that group, and no other moved).
A rule is blind where no rule of its check, in its tier, would then be shown beyond its bound. One
that shows it is enough: beside a baseline with nothing to lose a cap (`max`) still can fail.

Shown means at alpha / m, the level that Holm gives the first of m rules. A rule about a group is
asked at alpha: a small group of a model at chance would miss alpha / m for its size alone, and the
rule over all items, which Holm holds to alpha / m, stands guard beside it.
"""

from collections import defaultdict
from collections.abc import Iterator

from holdfast.policy.model import Check, CheckTier
from holdfast.stats.judged import JudgeRates
from holdfast.verdict.checks.pairs import Pairs
from holdfast.verdict.checks.rule_tests import change_beyond, gap_beyond, level_beyond

Scope = tuple[CheckTier, str | None]  # of a rule: its tier, and its group where it has one


def worst_cases(check: Check, pairs: Pairs, judge: JudgeRates | None) -> dict[Scope, float]:
    """The smallest fail p that each scope's worst would give, over the rules of its tier."""
    smallest: defaultdict[Scope, float] = defaultdict(lambda: 1.0)
    for scope, p in _fail_ps(check, pairs, judge):
        smallest[scope] = min(smallest[scope], p)
    return smallest


def _fail_ps(check: Check, pairs: Pairs, judge: JudgeRates | None) -> Iterator[tuple[Scope, float]]:
    for group in (None, *pairs.groups) if check.slice_by else (None,):
        worst = pairs.at_worst(group)
        if check.max_regression is not None:
            yield (check.tier, group), change_beyond(worst, check.max_regression)
        if check.max is not None:
            yield (check.tier, group), level_beyond(worst, check.max, judge)
        if group is None:
            continue
        members, rest = worst.only(group), worst.without(group)
        if check.per_group is not None:
            p = change_beyond(members, check.per_group.max_regression)
            yield (check.tier_of(check.per_group), group), p
            yield (check.tier_of(check.per_group), None), p  # all items: this group's among them
        if check.gap is not None:
            yield (check.tier_of(check.gap), group), gap_beyond(members, rest, check.gap.max)


def level_of(group: str | None, alpha: float, rules: int) -> float:
    """At which the worst must be shown, by one of so many `rules` of a tier."""
    return alpha / rules if group is None else alpha


def nothing_to_lose(rule: str, group: str | None, p_worst: float, level: float) -> str:
    """Why a pass of this rule would mean nothing, and what to do about it."""
    whose = "every answer" if group is None else "every answer of the group"
    return (
        f"nothing left to lose: had {whose} that is good in the baseline turned bad, that would "
        f"not be shown either (p = {p_worst:.2g}, at most {level:.2g} needed); {ADVICE[rule]}"
    )


ADVICE = {
    "max": "lower the cap, or ask more items",
    "max_incoherent": "lower the cap, or ask more items",
    "max_regression": "compare with another baseline, add a max, or make the check advisory",
    "per_group": "compare with another baseline, ask more items, or make the rule advisory",
    "gap": "compare with another baseline, ask more items, or make the rule advisory",
}
