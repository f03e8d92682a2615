"""Reports and evidence files, made from rows each time: nothing is stored that could disagree."""

from dataclasses import replace

from sqlalchemy.orm import Session

from holdfast.db.tables import EvaluationRow
from holdfast.db.trials import read_back
from holdfast.errors import NotFound
from holdfast.evidence.file import Evidence, render_evidence
from holdfast.evidence.manifest import Manifest
from holdfast.projects.retention.archive import refuse_archived
from holdfast.report.about import About
from holdfast.report.beside import Extras
from holdfast.report.render import NAMES_FLIPS, render
from holdfast.report.worst_flips import report_extras
from holdfast.verdict.document import Verdict

JSON_LINES = "application/jsonl"

REPORTS = {
    "report.md": "md",
    "report.html": "html",
    "report.txt": "text",
    "junit.xml": "junit",
    "results.sarif": "sarif",
    "code-quality.json": "codequality",
}
FAILING = "repaired"  # stored name of the failing checkpoint that the candidate was made from
SIDES = ("baseline", "candidate", FAILING, "anchor")

ARTIFACTS = {
    "verdict.json": "application/json",
    "report.md": "text/markdown",
    "report.html": "text/html",
    "report.txt": "text/plain",
    "junit.xml": "application/xml",
    "results.sarif": "application/sarif+json",
    "code-quality.json": "application/json",
    **{f"evidence/{side}.jsonl": JSON_LINES for side in SIDES},
}


def render_artifact(session: Session, about: EvaluationRow, name: str) -> bytes:
    """One artifact's bytes; NotFound for an unknown name, or one that is not there yet."""
    if name not in ARTIFACTS:
        raise NotFound(f"no artifact {name[:80]!r}, expected one of {', '.join(ARTIFACTS)}")
    side = name.removeprefix("evidence/").removesuffix(".jsonl")
    if side in SIDES:
        return render_evidence(_evidence(session, about, side))
    return _report(session, about, name)


def _evidence(session: Session, about: EvaluationRow, side: str) -> Evidence:
    manifest = about.manifests.get(side)
    evidence = manifest and read_back(session, about.id, side, Manifest.model_validate(manifest))
    refuse_archived(session, about)
    if evidence is None:
        raise NotFound(f"{about.id} has no complete evidence of its {side} (yet)")
    return evidence


def _report(session: Session, about: EvaluationRow, name: str) -> bytes:
    if about.verdict_document is None:
        raise NotFound(f"{about.id} has no verdict yet, so there is no {name}")
    if name == "verdict.json":
        return about.verdict_document.encode()
    verdict = Verdict.model_validate_json(about.verdict_document)
    form = REPORTS[name]
    subject = About(
        candidate=about.candidate_id,
        baseline=about.baseline_id,
        policy=about.policy_id,
        tier=about.tier,
        evaluation=about.id,
    )
    if form not in NAMES_FLIPS:
        return render(verdict, form, Extras(about=subject)).encode()
    before, after = (_evidence(session, about, side) for side in ("baseline", "candidate"))
    context = report_extras((check.id for check in verdict.checks), before, after)
    return render(verdict, form, replace(context, about=subject)).encode()
