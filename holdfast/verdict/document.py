"""The verdict as it is stored, sent and shown: one object that says no more than its checks do."""

import hashlib
import json
from typing import Self

from pydantic import BaseModel, model_validator

from holdfast.verdict.outcome import FROZEN, CheckResult, Comparability, Cost, Decision

EXIT_CODES: dict[Decision, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class Verdict(BaseModel):
    """The one object that text, JSON, JUnit and the exit code are made of."""

    model_config = FROZEN
    verdict: Decision
    reasons: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    warnings: tuple[str, ...] = ()
    waivers_applied: tuple[str, ...] = ()
    comparability: Comparability
    policy_digest: str
    evidence_digests: dict[str, str]
    subject_digests: dict[str, str]
    cost: Cost | None = None
    supersedes: str | None = None
    """The digest of the verdict that this one takes the place of, once a waiver was given."""

    @model_validator(mode="after")
    def _follows_from_its_checks(self) -> Self:
        """No verdict read back from anywhere may say more than its blocking checks do."""
        outcomes = [check.outcome for check in self.checks if check.tier == "blocking"]
        failed = "fail" in outcomes
        if failed != (self.verdict == "fail"):
            raise ValueError(f"the verdict {self.verdict} contradicts its blocking checks")
        all_passed = bool(outcomes) and set(outcomes) <= {"pass", "waived"}
        if self.verdict == "pass" and not (all_passed and self.comparability.comparable):
            raise ValueError("a pass needs every blocking check to pass, and comparable files")
        return self

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive."""
        return EXIT_CODES[self.verdict]

    @property
    def digest(self) -> str:
        """64 hex digits over everything but the cost."""
        return hashlib.sha256(self.with_cost(None).to_json()).hexdigest()

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, one line."""
        content = self.model_dump(mode="json", exclude=None if self.supersedes else {"supersedes"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode() + b"\n"

    def with_cost(self, cost: Cost | None) -> "Verdict":
        """The same verdict with its bill."""
        return self.model_copy(update={"cost": cost})
