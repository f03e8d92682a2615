"""What the demo leaves behind, and the proof that it holds without the stack.

`holdfast gate` judges the written evidence again, offline; the verdicts must have the same digests.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.stack import verdict_of
from holdfast.api.client import Client
from holdfast.evidence.file import Evidence, read_evidence
from holdfast.settings import Settings, make_folder
from holdfast.verdict.document import Verdict

RETENTION = "task.retention"


@dataclass(frozen=True, slots=True)
class Gated:
    """One evaluation of the story and its verdict."""

    evaluation: str
    digest: str
    verdict: Verdict


def save_evidence(client: Client, evaluation: str, files: dict[str, Path]) -> None:
    """Download the sides of an evaluation: side name to file."""
    for side, path in files.items():
        make_folder(path.parent)
        path.write_bytes(client.artifact(evaluation, f"evidence/{side}.jsonl"))


def save_reports(client: Client, evaluation: str, folder: Path) -> None:
    """Download every report of an evaluation."""
    make_folder(folder)
    for name in ("verdict.json", "report.md", "report.txt", "junit.xml"):
        (folder / name).write_bytes(client.artifact(evaluation, name))


def judge_again(settings: Settings, policy: Path, *, expected: Verdict, **files: Path) -> None:
    """Judge the written files with `holdfast gate`; another verdict ends the demo."""
    options = [
        word for name, path in files.items() for word in (f"--{name.replace('_', '-')}", path)
    ]
    again = verdict_of(settings, "gate", "--policy", policy, *options)
    if again.digest != expected.digest:
        raise SystemExit(f"gate says {again.digest}, the service said {expected.digest}")


def checks_of(verdict: Verdict) -> dict[str, Any]:
    """The checks as summary.json shows them."""
    return {
        check.id: {
            "outcome": check.outcome,
            "baseline": check.baseline,
            "candidate": check.candidate,
            "delta": check.delta,
            "ci": check.ci,
        }
        for check in verdict.checks
    }


def entry(gated: Gated) -> dict[str, Any]:
    """One gated checkpoint as summary.json shows it."""
    return {
        "digest": gated.digest,
        "evaluation": gated.evaluation,
        "verdict": gated.verdict.verdict,
        "checks": checks_of(gated.verdict),
    }


def task_losses(evidence: Path) -> dict[str, float]:
    """Loss a token on the held-out task rows, before the fine-tune, after it, and repaired."""
    sides = {"baseline": "baseline", "candidate": "candidate", "repair": "repair"}
    return {
        f"{name}_loss": loss(read_evidence(evidence / f"{side}.confirm.jsonl"))
        for name, side in sides.items()
    }


def loss(evidence: Evidence) -> float:
    """Mean nats a token over the held-out rows."""
    rows = [measure for measure in evidence.measures if measure.probe == RETENTION]
    return sum(row.value for row in rows) / sum(row.weight for row in rows)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """summary.json, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(summary, indent=2) + "\n")
    partial.replace(path)
