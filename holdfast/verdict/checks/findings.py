"""Tests each rule of a check. Numbers only: nothing here is called a failure yet.

A finding has two p values, one for "shown to be within the margin" and one for "shown to be beyond
it". Whether they count depends on all the other rules of the policy, so that is decided in
`settle`. A finding may carry an obstacle: why it could not pass, whatever its numbers.
"""

from dataclasses import dataclass, replace

from holdfast.policy.model import Check, CheckTier, Gap, GatePolicy, PerGroup
from holdfast.stats.judged import JudgeRates
from holdfast.verdict.checks.blindness import worst_cases
from holdfast.verdict.checks.pairs import Pairs
from holdfast.verdict.checks.rule_tests import (
    TestedRule,
    change_test,
    detectable_effect,
    enough_to_decide,
    gap_test,
    level_beyond,
    level_test,
    rounded,
)
from holdfast.verdict.outcome import Against, RuleName

CAPS: frozenset[RuleName] = frozenset({"max", "max_incoherent"})  # of the candidate alone
NOT_READ = (
    "nobody looked whether the candidate's answers say anything: its evidence names no judge of "
    "coherence, so ask it again"
)


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """One rule, in one group where it is sliced; estimate, ci and margin are in one unit.

    `rates` are the badness before and after, `against` which baseline the one before is of.
    `p_worst` is the fail p of the worst that could have happened: above its level, a pass is blind.
    """

    rule: RuleName
    tier: CheckTier
    group: str | None
    margin: float
    n: int
    clusters: int
    estimate: float | None
    answer: TestedRule
    rates: tuple[float, float] | None = None
    against: Against = "parent"
    mde: float | None = None
    items_to_decide: int | None = None
    obstacle: str | None = None
    p_worst: float = 0.0


def rate_findings(
    check: Check, pairs: Pairs, policy: GatePolicy, judge: JudgeRates | None = None
) -> tuple[RuleFinding, ...]:
    """Every rule of a check of a rate; all pairs of a sliced check must have their group.

    `judge` is the measured error of the judge behind the labels, which widens a cap's bounds.
    """
    findings = []
    if check.max_regression is not None:
        findings.append(_regression(check.max_regression, check, pairs, policy))
    if check.max is not None:
        findings.append(_cap(check.max, check, pairs, policy, judge))
    if check.per_group is not None:
        findings += [_in_group(check.per_group, check, pairs.only(g), policy) for g in pairs.groups]
    if check.gap is not None:
        findings += [_gap(check.gap, check, pairs, group, policy) for group in pairs.groups]
    worst = worst_cases(check, pairs, judge)
    return tuple(
        replace(finding, p_worst=worst[finding.tier, finding.group]) for finding in findings
    )


def incoherence_finding(
    check: Check, pairs: Pairs, policy: GatePolicy, *, read: bool
) -> tuple[RuleFinding, ...]:
    """`max_incoherent`: the share of the candidate's answers that say nothing; `pairs` are of that.

    All of them could be, whatever the baseline's are, so it is blind only where items are too few.
    Where nobody `read` them for it, it is neither within the cap nor above it.
    """
    rates, cap = pairs.rates(), check.max_incoherent
    if cap is None:
        return ()
    finding = RuleFinding(
        rule="max_incoherent",
        tier=check.tier,
        group=None,
        margin=cap,
        n=pairs.n,
        clusters=len(pairs.clusters),
        estimate=rounded(rates[1]) if rates else None,
        answer=level_test(pairs, cap, policy.alpha),
        rates=rates,
        obstacle=_too_few(pairs, policy.min_items),
        p_worst=level_beyond(pairs.at_worst(), cap),
    )
    if read:
        return (finding,)
    return (replace(finding, estimate=None, answer=TestedRule(1.0, 1.0, None), obstacle=NOT_READ),)


def _regression(margin: float, check: Check, pairs: Pairs, policy: GatePolicy) -> RuleFinding:
    return RuleFinding(
        rule="max_regression",
        tier=check.tier,
        group=None,
        margin=margin,
        n=pairs.n,
        clusters=len(pairs.clusters),
        estimate=change(pairs),
        answer=change_test(pairs, margin, policy.alpha),
        rates=pairs.rates(),
        mde=detectable_effect(pairs, policy.alpha),
        items_to_decide=enough_to_decide(pairs, margin, policy.alpha),
        obstacle=_too_few(pairs, policy.min_items),
    )


def _cap(
    cap: float, check: Check, pairs: Pairs, policy: GatePolicy, judge: JudgeRates | None
) -> RuleFinding:
    rates = pairs.rates()
    return RuleFinding(
        rule="max",
        tier=check.tier,
        group=None,
        margin=cap,
        n=pairs.n,
        clusters=len(pairs.clusters),
        estimate=rounded(rates[1]) if rates else None,
        answer=level_test(pairs, cap, policy.alpha, judge),
        rates=rates,
        obstacle=_too_few(pairs, policy.min_items),
    )


def _in_group(rule: PerGroup, check: Check, members: Pairs, policy: GatePolicy) -> RuleFinding:
    return RuleFinding(
        rule="per_group",
        tier=check.tier_of(rule),
        group=members.pairs[0].group,
        margin=rule.max_regression,
        n=members.n,
        clusters=len(members.clusters),
        estimate=change(members),
        answer=change_test(members, rule.max_regression, policy.alpha),
        rates=members.rates(),
        obstacle=_too_few(members, rule.min_items or policy.min_items),
    )


def _gap(rule: Gap, check: Check, pairs: Pairs, group: str, policy: GatePolicy) -> RuleFinding:
    members, rest = pairs.only(group), pairs.without(group)
    ours, theirs = change(members), change(rest)
    return RuleFinding(
        rule="gap",
        tier=check.tier_of(rule),
        group=group,
        margin=rule.max,
        n=members.n,
        clusters=len(members.clusters),
        estimate=None if ours is None or theirs is None else rounded(ours - theirs),
        answer=gap_test(members, rest, rule.max, policy.alpha),
        obstacle=_too_few(pairs, policy.min_items),
    )


def change(pairs: Pairs) -> float | None:
    """Rate after minus rate before; None where every pair is lost."""
    rates = pairs.rates()
    return rounded(rates[1] - rates[0]) if rates else None


def _too_few(pairs: Pairs, enough: int) -> str | None:
    independent = pairs.independent
    if independent >= enough:
        return None
    return f"{independent} independent items are too few to pass, at least {enough} are needed"
