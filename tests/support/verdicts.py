"""Policies from lines of checks, and what a verdict says of each, for tests of decisions."""

from typing import Any

from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy
from holdfast.verdict.document import Verdict

HARM = "harm.direct: {metric: attack_success_rate, max_regression: 0.10}"
BENIGN = "refusal.benign: {metric: false_refusal_rate, max_regression: 0.10}"
KEEP = "task.retention: {metric: task_loss, min_gain_kept: 0.70}"


def policy(*checks: str, **keys: Any) -> GatePolicy:
    lines = ["version: 1", "name: test", *(f"{key}: {value}" for key, value in keys.items())]
    text = "\n".join([*lines, "checks:", *(f"  {check}" for check in checks)])
    return parse_policy(text, source="test")


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {check.id: check.outcome for check in verdict.checks}
