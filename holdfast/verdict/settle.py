"""From findings to outcomes: Holm over the whole family, then rule by rule and check by check.

A check fails with any of its rules, passes with all of them, and is open otherwise. Blocking rules
share one flat family, advisory ones another; what is advisory inside a blocking check is shown and
does not touch the check's outcome.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from holdfast.policy.model import Check, GatePolicy, Waiver
from holdfast.probes.table import spec_of
from holdfast.stats.multiplicity import holm
from holdfast.verdict.checks.blindness import level_of, nothing_to_lose
from holdfast.verdict.checks.examination import Examination, Slice
from holdfast.verdict.checks.findings import RuleFinding
from holdfast.verdict.checks.group_table import GroupTable, group_table
from holdfast.verdict.checks.rule_tests import rounded
from holdfast.verdict.outcome import (
    CheckOutcome,
    CheckResult,
    Decision,
    GroupRow,
    GroupSpread,
    RuleResult,
)
from holdfast.verdict.wording import Numbers, explain

QUOTED = 3  # open or failed rules that a check's reason quotes before it counts the rest


def settle(
    policy: GatePolicy,
    examined: Mapping[str, Examination],
    waivers: Sequence[Waiver],
    as_of: datetime,
) -> tuple[CheckResult, ...]:
    """The results of all checks that were asked, in the order given; `as_of` is for waivers."""
    adjusted = _adjust(examined)
    sighted = without_blind_passes(examined, policy.alpha)
    checks = (
        _check(probe, policy, examination, adjusted[probe])
        for probe, examination in sighted.items()
    )
    return tuple(_waived(waivers, examined[check.id], check, as_of) for check in checks)


def _waived(
    waivers: Sequence[Waiver], examination: Examination, check: CheckResult, as_of: datetime
) -> CheckResult:
    """The check as it stands; waived where it was judged, does not pass, and somebody says so."""
    waiver = next((w for w in waivers if w.check == check.id and w.holds(as_of)), None)
    if waiver is None or examination.trouble or check.outcome not in {"fail", "inconclusive"}:
        return check
    until = f"waived until {waiver.expires} by {waiver.owner}: {waiver.reason}"
    reason = f"{until}; without that: {check.outcome}, {check.reason}"
    return check.model_copy(update={"outcome": "waived", "reason": reason})


def _adjust(examined: Mapping[str, Examination]) -> dict[str, list[float]]:
    """Each check's fail p values after Holm, in the order of its findings."""
    adjusted = {probe: [1.0] * len(examination.findings) for probe, examination in examined.items()}
    for tier in ("blocking", "advisory"):
        family = [
            (probe, place, finding.answer.p_fail)
            for probe, examination in examined.items()
            for place, finding in enumerate(examination.findings)
            if finding.tier == tier
        ]
        for (probe, place, _), p in zip(family, holm([p for *_, p in family]), strict=True):
            adjusted[probe][place] = 1.0 if p is None else rounded(p)
    return adjusted


def without_blind_passes(
    examined: Mapping[str, Examination], alpha: float
) -> dict[str, Examination]:
    """An obstacle for each rule that could not have failed at the level that Holm gives it."""
    rules = Counter(
        finding.tier for examination in examined.values() for finding in examination.findings
    )

    def sighted(finding: RuleFinding) -> RuleFinding:
        return _not_blind(finding, level_of(finding.group, alpha, rules[finding.tier]))

    return {
        probe: replace(examination, findings=tuple(map(sighted, examination.findings)))
        for probe, examination in examined.items()
    }


def _not_blind(finding: RuleFinding, level: float) -> RuleFinding:
    if finding.obstacle is not None or finding.p_worst <= level:
        return finding
    why = nothing_to_lose(finding.rule, finding.group, finding.p_worst, level)
    return replace(finding, obstacle=why)


def _check(
    probe: str, policy: GatePolicy, examination: Examination, adjusted: list[float]
) -> CheckResult:
    check = policy.checks[probe]
    rules = tuple(
        _rule(finding, p, policy.alpha, spec_of(probe).metric)
        for finding, p in zip(examination.findings, adjusted, strict=True)
    )
    deciding = [rule for rule in rules if rule.tier == check.tier]
    outcome: CheckOutcome = examination.forced if examination.trouble else _together(deciding)
    first = rules[0] if rules else None
    table = group_table(probe, examination.sliced) if examination.sliced else None
    return CheckResult(
        id=probe,
        outcome=outcome,
        tier=check.tier,
        metric=check.metric,
        n=examination.n,
        n_unscored=examination.n_unscored,
        baseline=examination.baseline,
        candidate=examination.candidate,
        delta=examination.delta,
        anchor=examination.anchor,
        mde=first.mde if first else None,
        **(_numbers(first) if first else {"margin": _first_margin(check)}),
        groups=tuple(_row(part, rules, table) for part in examination.slices),
        spread=spread_between(table),
        rules=rules,
        figures=examination.figures,
        reason=examination.trouble or _reason(deciding, outcome),
    )


def _rule(finding: RuleFinding, adjusted: float, alpha: float, metric: str) -> RuleResult:
    outcome = _outcome(finding, adjusted, alpha)
    before, after = finding.rates or (None, None)
    return RuleResult(
        rule=finding.rule,
        against=finding.against,
        group=finding.group,
        tier=finding.tier,
        outcome=outcome,
        n=finding.n,
        clusters=finding.clusters,
        estimate=finding.estimate,
        ci=finding.answer.ci,
        margin=finding.margin,
        p_pass=finding.answer.p_pass,
        p_fail=finding.answer.p_fail,
        p_fail_adjusted=adjusted,
        mde=finding.mde,
        items_to_decide=finding.items_to_decide,
        reason=explain(finding, outcome, adjusted, Numbers(metric, before, after, alpha)),
    )


def _outcome(finding: RuleFinding, adjusted: float, alpha: float) -> Decision:
    if adjusted <= alpha:
        return "fail"
    if finding.answer.p_pass <= alpha and finding.obstacle is None:
        return "pass"
    return "inconclusive"


def _together(rules: Iterable[RuleResult]) -> Decision:
    outcomes = {rule.outcome for rule in rules}
    if "fail" in outcomes:
        return "fail"
    return "pass" if outcomes == {"pass"} else "inconclusive"


def _reason(rules: list[RuleResult], outcome: CheckOutcome) -> str:
    """The rules that made the outcome what it is, the first few in words."""
    if not rules:
        return "none of its rules could be asked"
    made_it = [rule.reason for rule in rules if rule.outcome == outcome]
    more = f" (and {len(made_it) - QUOTED} more)" if len(made_it) > QUOTED else ""
    return "; ".join(made_it[:QUOTED]) + more


def _row(part: Slice, rules: tuple[RuleResult, ...], table: GroupTable | None) -> GroupRow:
    group_rules = [r for r in rules if r.rule == "per_group" and r.against == "parent"]
    rule = next((r for r in group_rules if r.group == part.group), None)
    return GroupRow(
        group=part.group,
        outcome=rule.outcome if rule else None,
        n=part.n,
        n_unscored=part.n_unscored,
        baseline=part.baseline,
        candidate=part.candidate,
        delta=part.delta,
        **(_numbers(rule) if rule else {}),
        **forgotten(part.group, table),
    )


def forgotten(group: str, table: GroupTable | None) -> dict[str, Any]:
    """One group's line of the table, by the names that verdicts and chains give its numbers."""
    line = table.of(group) if table else None
    if line is None:
        return {}
    return {
        "forgetting": rounded(line.forgetting),
        "relative": None if line.relative is None else rounded(line.relative),
        "biased": rounded(line.biased),
        "p_biased": rounded(line.p_adjusted),
        "shrunken": rounded(line.shrunken),
    }


def spread_between(table: GroupTable | None) -> GroupSpread | None:
    """How unequally the groups forgot, with its permutation null."""
    if table is None:
        return None
    names = GroupSpread.model_fields
    return GroupSpread(**{name: rounded(getattr(table.forgetting, name)) for name in names})


def _numbers(rule: RuleResult) -> dict[str, Any]:
    return rule.model_dump(include={"ci", "margin", "p_pass", "p_fail", "p_fail_adjusted"})


def _first_margin(check: Check) -> float | None:
    bounds = (check.max_regression, check.max, check.min_gain_kept, check.max_incoherent)
    return next((bound for bound in bounds if bound is not None), None)
