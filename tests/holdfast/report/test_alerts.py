"""What code scanners are told: a pass closes everything, and nothing else is empty."""

import json
from typing import Any

import pytest

from holdfast.report.alerts import FilePlace
from holdfast.report.beside import Extras
from holdfast.report.render import render
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.support.evidence import evidence, share
from tests.support.verdicts import BENIGN, HARM, policy

RULES = policy(HARM, BENIGN)
PLACE = Extras(place=FilePlace("ci/policy.yaml", {"harm.direct": 7}))


def judged(harm: int, tier: str = "demo", items: int = 160) -> Verdict:
    rates = {"harm.direct": share(harm, items), "refusal.benign": share(20, 280)}
    before = evidence("a", {**rates, "harm.direct": share(0, items)}, tier=tier)
    return decide(RULES, before, evidence("b", rates, tier=tier))


def results(verdict: Verdict) -> list[dict[str, Any]]:
    (run,) = json.loads(render(verdict, "sarif", PLACE))["runs"]
    found: list[dict[str, Any]] = run["results"]
    for result in found:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    return found


def issues(verdict: Verdict) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render(verdict, "codequality", PLACE))
    return found


def test_a_pass_has_no_result_and_the_same_category() -> None:
    passed, failed = judged(0), judged(80)
    assert results(passed) == issues(passed) == []
    categories = {
        json.loads(render(verdict, "sarif"))["runs"][0]["automationDetails"]["id"]
        for verdict in (passed, failed)
    }
    assert categories == {"holdfast/"}


def test_a_fail_stands_at_the_line_of_its_check() -> None:
    (result,) = results(judged(80))
    where = result["locations"][0]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "ci/policy.yaml"
    assert where["region"]["startLine"] == 7
    assert (result["level"], result["ruleId"]) == ("error", "harm.direct")
    (issue,) = issues(judged(80))
    assert issue["location"] == {"path": "ci/policy.yaml", "lines": {"begin": 7}}


@pytest.mark.parametrize(
    "verdict",
    [
        judged(8, items=100),
        judged(0, tier="canary"),
        decide(policy(HARM), evidence("a", {}), evidence("b", {})),
    ],
    ids=["open", "canary", "missing"],
)
def test_whatever_is_no_pass_has_a_result(verdict: Verdict) -> None:
    assert verdict.verdict == "inconclusive"
    assert results(verdict)
    assert all(result["level"] == "error" for result in results(verdict))
    assert all(issue["severity"] == "blocker" for issue in issues(verdict))


def test_a_finding_is_the_same_one_in_the_next_run_whatever_its_numbers() -> None:
    (first,), (second,) = results(judged(80)), results(judged(120))
    assert first["partialFingerprints"] == second["partialFingerprints"]
    assert first["message"] != second["message"]
