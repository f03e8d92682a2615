"""JUnit XML, for the test tab of any CI: red exactly where the verdict is not a pass.

A suite a family, a case a rule. A shown regression is a failure; what is missing, open or broken is
an error, never a skip, since a skipped test reads as green. Advisory results stand in the output of
a passing case. The suite `verdict` carries the verdict itself, so that nothing (a canary run, a
policy that asked nothing) is green only because no rule is red.
"""

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from holdfast.report.escapes import for_xml
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult


@dataclass(frozen=True, slots=True)
class Case:
    """One test case: blocking outcomes colour it, others are only written down."""

    suite: str
    name: str
    outcome: str
    text: str
    blocking: bool = True

    @property
    def red(self) -> str | None:
        """The element that this case gets, if any."""
        if not self.blocking or self.outcome in {"pass", "waived"}:
            return None
        return "failure" if self.outcome == "fail" else "error"


def render_junit(verdict: Verdict) -> str:
    """The XML document, without times or machine names."""
    cases = [Case("verdict", "verdict", verdict.verdict, "\n".join(verdict.reasons))]
    cases += [case for check in verdict.checks for case in _cases(check)]
    root = ET.Element("testsuites", {"name": "holdfast", **_counts(cases)})
    for suite in dict.fromkeys(case.suite for case in cases):
        members = [case for case in cases if case.suite == suite]
        parent = ET.SubElement(root, "testsuite", {"name": for_xml(suite), **_counts(members)})
        for case in members:
            _add(parent, case)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _cases(check: CheckResult) -> list[Case]:
    family = check.id.partition(".")[0]
    blocking = check.tier == "blocking"
    if not check.rules:
        return [Case(family, check.id, check.outcome, check.reason, blocking)]
    return [
        Case(
            family,
            f"{check.id} {rule.rule}" + (f" {rule.group}" if rule.group is not None else ""),
            rule.outcome,
            rule.reason,
            rule.tier == "blocking",
        )
        for rule in check.rules
    ]


def _add(parent: ET.Element, case: Case) -> None:
    name = {"classname": f"holdfast.{for_xml(case.suite)}", "name": for_xml(case.name)}
    element = ET.SubElement(parent, "testcase", name)
    if case.red is not None:
        ET.SubElement(element, case.red, {"message": for_xml(case.text), "type": case.outcome})
    else:
        advisory = "" if case.blocking else "advisory, "
        ET.SubElement(
            element, "system-out"
        ).text = f"{advisory}{case.outcome}: {for_xml(case.text)}"


def _counts(cases: list[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.red == "failure" for case in cases)),
        "errors": str(sum(case.red == "error" for case in cases)),
        "skipped": "0",
    }
