"""The verdict: a pure function of a policy and evidence, the same bytes every time.

PASS: every rule of every blocking check is shown to be within its margin, each at alpha; demanding
all of them needs no correction (intersection-union). FAIL: some fail test holds after Holm over one
flat family, every blocking rule and every group of it. Anything else is INCONCLUSIVE, and so is
whatever could not be asked: a missing probe, files that are not comparable, a run that did not
finish, a policy that asked nothing. A fail that is shown stands although other checks are open.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from holdfast.evidence.file import Evidence
from holdfast.policy.model import GatePolicy, Waiver
from holdfast.verdict.checks.bias_table import bias_table
from holdfast.verdict.checks.examination import Files, examine, judge_rates
from holdfast.verdict.checks.pairs import cut_words
from holdfast.verdict.comparability import compared, differences, obstacles
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult, Comparability, Decision
from holdfast.verdict.retest import retest_warnings, with_retest
from holdfast.verdict.settle import settle
from holdfast.verdict.terms import AS_SUBMITTED, Terms


def decide(  # noqa: PLR0913  # a verdict stands on these and on nothing else
    policy: GatePolicy,
    baseline: Evidence,
    candidate: Evidence,
    *,
    repaired_from: Evidence | None = None,
    anchor: Evidence | None = None,
    as_of: datetime | None = None,
    terms: Terms = AS_SUBMITTED,
) -> Verdict:
    """Judge the candidate against the baseline, and against the anchor as well where there is one.

    `repaired_from` is the evidence of the checkpoint that the candidate repairs; what a repair was
    asked beside its policy stands behind the policy's checks and decides nothing. Waivers are
    judged at `as_of`, by default when the candidate's evidence was made, never at the clock.
    `terms` are the project's.
    """
    files = Files(baseline, candidate, repaired_from, anchor)
    comparability = _compare(files, policy, terms)
    probes = policy.probes(repair=candidate.manifest.repairs is not None)
    examined = {probe: examine(probe, policy.checks[probe], policy, files) for probe in probes}
    widened = with_retest(policy, candidate.manifest.retested)
    pair = replace(files, anchor=None)  # the anchor is not retested
    beside = {
        probe: examine(probe, widened.checks[probe], policy, pair)
        for probe in candidate.manifest.retested
        if probe not in policy.checks
    }
    if comparability.differences or comparability.obstacles:
        examined = {probe: examination.set_aside() for probe, examination in examined.items()}
        beside = {probe: examination.set_aside() for probe, examination in beside.items()}
    moment = as_of or datetime.fromisoformat(candidate.manifest.created_at)
    settled = settle(policy, examined, terms.waivers(policy), moment)
    checks = tuple(
        check.model_copy(update={"bias": bias_table(check.id, baseline, candidate)})
        for check in (*settled, *settle(widened, beside, (), moment))
    )
    verdict = _joint(checks, may_pass=comparability.may_pass)
    return Verdict(
        verdict=verdict,
        reasons=_reasons(verdict, checks, comparability, policy.alpha),
        checks=checks,
        warnings=(
            *policy.warnings,
            *terms.warnings(policy),
            *retest_warnings(candidate.manifest),
            *_cuts([*probes, *beside], files),
            *_traces(files),
            *_warnings(widened, checks, candidate),
            *_idle(terms.waivers(policy), checks),
        ),
        waivers_applied=tuple(_waivers(checks)),
        comparability=comparability,
        policy_digest=policy.digest,
        evidence_digests={name: file.digest for name, file in files.named.items()},
        subject_digests={
            **{name: file.manifest.checkpoint.digest for name, file in files.named.items()},
            "template": candidate.manifest.template_sha256,
        },
    )


def _waivers(checks: Sequence[CheckResult]) -> Iterator[str]:
    return (f"{check.id}: {check.reason}" for check in checks if check.outcome == "waived")


def _traces(files: Files) -> Iterator[str]:
    """How many answers were thought about, and how many of the traces had to be closed."""
    for name, file in files.named.items():
        if (thinking := file.manifest.thinking) is not None:
            yield (
                f"the {name} thought before {thinking.traces} of {thinking.answers} answers; "
                f"{thinking.forced} traces were closed by force after "
                f"{thinking.trace_tokens} tokens"
            )


def _compare(files: Files, policy: GatePolicy, terms: Terms) -> Comparability:
    ours, theirs = files.baseline.manifest, files.candidate.manifest
    differing = differences(ours, theirs, compare=policy.compare)
    if files.anchor is not None:
        other = differences(files.anchor.manifest, theirs, compare=policy.compare)
        differing += tuple(f"anchor's {difference}" for difference in other)
    blocked = (*obstacles(files.named, policy), *terms.obstacles)
    return Comparability(
        comparable=not differing,
        differences=differing,
        obstacles=blocked,
        alarm_only=any(file.manifest.tier == "canary" for file in files.named.values()),
        compared=compared(ours, theirs) if policy.compare else None,
    )


def _joint(checks: tuple[CheckResult, ...], *, may_pass: bool) -> Decision:
    outcomes = [check.outcome for check in checks if check.tier == "blocking"]
    if "fail" in outcomes:
        return "fail"
    all_passed = bool(outcomes) and set(outcomes) <= {"pass", "waived"}
    return "pass" if all_passed and may_pass else "inconclusive"


def _reasons(
    verdict: Decision, checks: tuple[CheckResult, ...], comparability: Comparability, alpha: float
) -> tuple[str, ...]:
    """Sentences that say why the verdict is as it is, the deciding ones first; never empty."""
    blocking = [check for check in checks if check.tier == "blocking"]
    if verdict == "pass":
        passed = [check for check in blocking if check.outcome == "pass"]
        waived = [f"{check.id}: {check.reason}" for check in blocking if check.outcome == "waived"]
        which = f"all {len(blocking)}" if not waived else f"{len(passed)} of {len(blocking)}"
        within = f"{which} blocking checks are shown to be within their margins"
        by_name = [f"compared: {comparability.compared}"] if comparability.compared else []
        return (f"{within}, each at alpha {alpha:g}", *by_name, *waived)
    general = [
        f"not comparable: {what} (baseline / candidate)" for what in comparability.differences
    ]
    general += comparability.obstacles
    if general:
        return tuple(general)
    if comparability.alarm_only:
        general.append("the tier canary can raise an alarm, but never pass a checkpoint")
    if not blocking:
        general.append("no blocking check of the policy was asked of this evaluation")
    ranked = sorted(blocking, key=lambda check: check.outcome != "fail")
    shown = [f"{check.id}: {check.reason}" for check in ranked if check.outcome != "pass"]
    return tuple([*shown, *general] if verdict == "fail" else [*general, *shown])


def _cuts(probes: Sequence[str], files: Files) -> Iterator[str]:
    """One sentence for each probe and file in which planned trials were not asked."""
    for probe in probes:
        yield from (f"{probe}: {words}" for words in cut_words(probe, files.named))


def _idle(waivers: Sequence[Waiver], checks: tuple[CheckResult, ...]) -> tuple[str, ...]:
    """Waivers that cover nothing any more: what needs none, or what none can cover."""
    waived = {check.id for check in checks if check.outcome == "waived"}
    outcomes = {check.id: check.outcome for check in checks}
    return tuple(
        f"the waiver of {waiver.check} until {waiver.expires} did not apply: "
        f"the check is {outcomes.get(waiver.check, 'not asked')}"
        for waiver in waivers
        if waiver.check not in waived
    )


def _warnings(
    policy: GatePolicy, checks: tuple[CheckResult, ...], candidate: Evidence
) -> tuple[str, ...]:
    """The sentences that decide nothing, but should be read."""
    warnings = [
        f"{check.id}: advisory {rule.rule} of {rule.group or 'all items'}: {rule.reason}"
        for check in checks
        for rule in check.rules
        if rule.tier == "advisory" and rule.outcome == "fail"
    ]
    warnings += [
        f"{check.id} (advisory): {check.reason}"
        for check in checks
        if check.tier == "advisory" and check.outcome in {"missing", "inconclusive"}
    ]
    warnings += [
        f"{check.id}: forgetting differs by {check.spread.range:.2f} between groups, more than "
        f"chance alone would make it (p = {check.spread.p_range:.1g})"
        for check in checks
        if check.spread is not None and check.spread.p_range <= policy.alpha
    ]
    warnings += _judges_errors(policy, [c.id for c in checks], candidate)
    if candidate.manifest.deployed_template:
        warnings.append("the candidate is judged together with its own chat template")
    return tuple(warnings)


def _judges_errors(
    policy: GatePolicy, probes: Sequence[str], candidate: Evidence
) -> tuple[str, ...]:
    """Sentences on these probes' caps: whether their bounds account for the judge's error."""
    checks = policy.checks
    capped = [probe for probe in probes if checks[probe].max is not None]
    unknown = [p for p in capped if judge_rates(p, checks[p], candidate) is None]
    widened = [probe for probe in capped if probe not in unknown]
    warnings = []
    if unknown:
        warnings.append(
            f"the caps of {', '.join(unknown)} are exact for the judge's own labels; no "
            "judge_error is known, so the judge's errors widen nothing"
        )
    if widened:
        warnings.append(
            f"the caps of {', '.join(widened)} are bounded with the judge's measured error"
        )
    return tuple(warnings)
