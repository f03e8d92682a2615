"""The gate without a server: files in, verdict out. No clock, no network, no model."""

from datetime import datetime
from pathlib import Path

from holdfast.evidence.file import read_evidence
from holdfast.policy.text import load_policy
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict


def gate(
    policy_path: str | Path,
    baseline_path: str | Path,
    candidate_path: str | Path,
    repaired_from_path: str | Path | None = None,
    *,
    anchor_path: str | Path | None = None,
    as_of: datetime | None = None,
) -> Verdict:
    """Judge two evidence files; raises InvalidPolicy, InvalidEvidence or NotBuilt (all exit 2)."""
    policy = load_policy(policy_path)
    baseline, candidate = read_evidence(baseline_path), read_evidence(candidate_path)
    failing = None if repaired_from_path is None else read_evidence(repaired_from_path)
    anchor = None if anchor_path is None else read_evidence(anchor_path)
    return decide(policy, baseline, candidate, repaired_from=failing, anchor=anchor, as_of=as_of)
