"""GitLab's Code Quality report: a JSON array with an issue for each rule that holds the merge back.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format. What is open is as
severe as what failed, since neither may be merged.
"""

import json

from holdfast.report.alerts import FilePlace, alerts_of
from holdfast.report.escapes import for_terminal
from holdfast.verdict.document import Verdict


def render_code_quality(verdict: Verdict, place: FilePlace) -> str:
    """The array, empty for a pass."""
    issues = [
        {
            "check_name": f"holdfast: {for_terminal(alert.check)}",
            "description": f"{alert.outcome}: {for_terminal(alert.text)}",
            "fingerprint": alert.fingerprint,
            "severity": "blocker",
            "location": {
                "path": place.path,
                "lines": {"begin": place.lines.get(alert.check, 1)},
            },
        }
        for alert in alerts_of(verdict)
    ]
    return json.dumps(issues, indent=1, sort_keys=True) + "\n"
