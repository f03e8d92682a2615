"""The alerts of a verdict as code scanners take them: one for each rule that holds a merge back.

A pass has none, which is what closes those of the run before. So everything else has at least one:
where no blocking rule is red (a canary run, files that cannot be compared), the verdict itself.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult, RuleResult

VERDICT = "verdict"  # the id of the alert that is about no single check
NOWHERE = "holdfast-policy.yaml"  # a alert has to be somewhere, also where nobody knows the file


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The file that a alert is shown at, and the lines of its checks where they are known."""

    path: str = NOWHERE
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule that is not shown to hold; `fingerprint` is the same in every run of it."""

    check: str
    outcome: str
    text: str
    fingerprint: str


def alerts_of(verdict: Verdict) -> tuple[Alert, ...]:
    """The red rules of blocking checks; the verdict where there are none and it is no pass."""
    if verdict.verdict == "pass":
        return ()
    red = [alert for check in verdict.checks for alert in _of_check(check)]
    if red:
        return tuple(red)
    reasons = "; ".join(verdict.reasons)
    return (Alert(VERDICT, verdict.verdict, reasons, _fingerprint(VERDICT)),)


def _of_check(check: CheckResult) -> list[Alert]:
    if check.tier != "blocking" or check.outcome in {"pass", "waived"}:
        return []
    if not check.rules:
        return [Alert(check.id, check.outcome, check.reason, _fingerprint(check.id))]
    return [
        Alert(check.id, rule.outcome, rule.reason, _fingerprint(check.id, *_named(rule)))
        for rule in check.rules
        if rule.tier == "blocking" and rule.outcome != "pass"
    ]


def _named(rule: RuleResult) -> tuple[str, ...]:
    return (rule.rule, rule.against, rule.group or "")


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
