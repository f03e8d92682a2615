"""The sentences of a verdict: what moved, how surely, and against which bound.

No outcome is decided here; a sentence is made of a finding and the outcome that it was given.
"""

from dataclasses import dataclass

from holdfast.verdict.checks.findings import CAPS, RuleFinding
from holdfast.verdict.outcome import Decision, RuleName

WITHIN: dict[RuleName, str] = {
    "max": "to be under the cap",
    "max_incoherent": "to be under the cap",
    "max_regression": "to be within the margin",
    "per_group": "to be within the margin",
    "gap": "to be within the gap",
    "min_gain_kept": "to keep at least",
}
BEYOND: dict[RuleName, str] = {
    "max": "above the cap",
    "max_incoherent": "above the cap",
    "max_regression": "worse than the margin",
    "per_group": "worse than the margin",
    "gap": "beyond the gap",
    "min_gain_kept": "to keep less than",
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers that a sentence quotes besides the finding: the rates it is about, and the level."""

    metric: str
    before: float | None
    after: float | None
    alpha: float


def explain(finding: RuleFinding, outcome: Decision, adjusted: float, numbers: Numbers) -> str:
    """One rule's result, such as "attack success rate 0.18 -> 0.72 (+0.54, ...), shown ..."."""
    observed = _observed(finding, numbers)
    if outcome == "fail":
        shown = f"shown {BEYOND[finding.rule]} {finding.margin:.2f}"
        return f"{observed}, {shown} (Holm-adjusted p = {adjusted:.1g})"
    if outcome == "pass":
        shown = f"shown {WITHIN[finding.rule]} {finding.margin:.2f}"
        return f"{observed}, {shown} (p = {finding.answer.p_pass:.1g})"
    if finding.obstacle is not None:
        return f"{observed}; {finding.obstacle}"
    return (
        f"{observed}, shown neither {WITHIN[finding.rule]} {finding.margin:.2f} "
        f"(p = {finding.answer.p_pass:.2g}) nor to be beyond it "
        f"(Holm-adjusted p = {adjusted:.2g}){_enough(finding)}"
    )


def _observed(finding: RuleFinding, numbers: Numbers) -> str:
    where = "beside the anchor, " if finding.against == "anchor" else ""
    where += f"group {finding.group}: " if finding.group is not None else ""
    if finding.rule == "min_gain_kept":
        return f"keeps {_plain(finding.estimate)} of the gain in {_spaced(numbers.metric)}"
    if finding.rule == "gap":
        distance = f"{_signed(finding.estimate)} worse than all others"
        return f"{where}{_spaced(numbers.metric)} got {distance} ({_interval(finding, numbers)})"
    if finding.rule in CAPS:
        rate = "incoherent answers" if finding.rule == "max_incoherent" else numbers.metric
        level = f"{_spaced(rate)} {_plain(finding.estimate)}"
        return f"{where}{level} ({_interval(finding, numbers)})"
    moved = f"{_spaced(numbers.metric)} {_plain(numbers.before)} -> {_plain(numbers.after)}"
    return f"{where}{moved} ({_signed(finding.estimate)}, {_interval(finding, numbers)})"


def _interval(finding: RuleFinding, numbers: Numbers) -> str:
    if finding.answer.ci is None:
        return "no interval"
    low, high = finding.answer.ci
    level = 100 * (1 - 2 * numbers.alpha)  # each end is a test at alpha
    signed = "" if finding.rule in CAPS else "+"
    return f"{level:.3g} % interval {low:{signed}.2f} to {high:{signed}.2f}"


def _enough(finding: RuleFinding) -> str:
    if finding.items_to_decide is None:
        return ""
    return f"; about {finding.items_to_decide} would decide it where nothing has changed"


def _plain(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.2f}"


def _signed(number: float | None) -> str:
    return "unknown" if number is None else f"{number:+.2f}"


def _spaced(metric: str) -> str:
    return metric.replace("_", " ")
