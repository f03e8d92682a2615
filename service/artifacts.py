"""Reports and evidence files, made from rows each time: nothing is stored that could disagree."""

from sqlalchemy.orm import Session

from holdfast.db.tables import Evaluation
from holdfast.db.trials import read_back
from holdfast.errors import NotFound
from holdfast.evidence import Manifest, render_evidence
from holdfast.report import render
from holdfast.verdict import Verdict

JSON_LINES = "application/jsonl"

REPORTS = {"report.md": "md", "report.txt": "text", "junit.xml": "junit"}
SIDES = ("baseline", "candidate", "repaired", "anchor")

ARTIFACTS = {
    "verdict.json": "application/json",
    "report.md": "text/markdown",
    "report.txt": "text/plain",
    "junit.xml": "application/xml",
    **{f"evidence/{side}.jsonl": JSON_LINES for side in SIDES},
}


def render_artifact(session: Session, about: Evaluation, name: str) -> bytes:
    """One artifact's bytes; NotFound for an unknown name, or one that is not there yet."""
    if name not in ARTIFACTS:
        raise NotFound(f"no artifact {name[:80]!r}, expected one of {', '.join(ARTIFACTS)}")
    side = name.removeprefix("evidence/").removesuffix(".jsonl")
    return _evidence(session, about, side) if side in SIDES else _report(about, name)


def _evidence(session: Session, about: Evaluation, side: str) -> bytes:
    manifest = about.manifests.get(side)
    if manifest is None:
        raise NotFound(f"{about.id} has no complete evidence of its {side} (yet)")
    read = read_back(session, about.id, side, Manifest.model_validate(manifest))
    return render_evidence(read)


def _report(about: Evaluation, name: str) -> bytes:
    if about.verdict_document is None:
        raise NotFound(f"{about.id} has no verdict yet, so there is no {name}")
    if name == "verdict.json":
        return about.verdict_document.encode()
    verdict = Verdict.model_validate_json(about.verdict_document)
    return render(verdict, REPORTS[name]).encode()
