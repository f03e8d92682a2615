"""SARIF 2.1.0, which code scanners read: a result for each rule that holds the merge back.

https://docs.oasis-open.org/sarif/sarif/v2.1.0. Every run is of one category, so a run without
results closes the alerts of the one before. What is open is an error like what failed: a scanner
that shows it as less would let it through.
"""

import json
from importlib.metadata import version
from typing import Any

from holdfast.report.alerts import VERDICT, Alert, FilePlace, alerts_of
from holdfast.report.escapes import for_terminal
from holdfast.verdict.document import Verdict

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
CATEGORY = "holdfast/"


def render_sarif(verdict: Verdict, place: FilePlace) -> str:
    """The log of one run, in the same bytes for the same verdict."""
    about = {check.id: check.metric.replace("_", " ") for check in verdict.checks}
    about[VERDICT] = "the verdict as a whole"
    rules = [_rule(name, what) for name, what in about.items()]
    numbers = {name: number for number, name in enumerate(about)}
    run = {
        "tool": {"driver": {"name": "Holdfast", "version": version("holdfast"), "rules": rules}},
        "automationDetails": {"id": CATEGORY},
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": verdict.verdict,
            "verdictDigest": verdict.digest,
            "policyDigest": verdict.policy_digest,
        },
        "results": [_result(alert, numbers[alert.check], place) for alert in alerts_of(verdict)],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, sort_keys=True) + "\n"


def _rule(name: str, about: str) -> dict[str, Any]:
    return {
        "id": for_terminal(name),
        "shortDescription": {"text": f"{for_terminal(name)}: {about}"},
        "defaultConfiguration": {"level": "error"},
    }


def _result(alert: Alert, number: int, place: FilePlace) -> dict[str, Any]:
    line = place.lines.get(alert.check, 1)
    return {
        "ruleId": for_terminal(alert.check),
        "ruleIndex": number,
        "level": "error",
        "message": {"text": f"{alert.outcome}: {for_terminal(alert.text)}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": place.path},
                    "region": {"startLine": line},
                }
            }
        ],
        "partialFingerprints": {
            "holdfastRule/v1": alert.fingerprint,
            "primaryLocationLineHash": alert.fingerprint,
        },
    }
