"""The evidence of an evaluation as far as it was gathered, and the verdict on it."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation, get_job
from holdfast.db.trials import find_answers, read_back
from holdfast.evidence.file import Evidence
from holdfast.evidence.manifest import Manifest
from holdfast.probes.engine import Backend
from holdfast.projects.waivers import terms_in_force
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from workers.evaluation.answers import notes_key
from workers.evaluation.case import FAILING, Case, Side
from workers.evaluation.manifests import Ends, manifest_of
from workers.evaluation.spending import cuts_so_far
from workers.evaluation.thinking import thinking_of
from workers.worker import Worker


def manifests_of(
    session: Session, worker: Worker, case: Case, stops: Mapping[str, int]
) -> dict[str, Manifest]:
    """The manifest of each side's evidence, at this moment."""
    moment, backend = jobs.now(session), worker.engine.backend
    ends = Ends(
        stops,
        cuts_so_far(session, case),
        {side.name: thinking_of(session, case, side) for side in case.sides},
        {side.name: notes_of(session, side, backend) for side in case.sides},
    )
    return {side.name: manifest_of(case, side, backend, moment, ends) for side in case.sides}


def notes_of(session: Session, side: Side, backend: Backend) -> Sequence[str]:
    """The notes on a side's files by the engine that answered; mostly none."""
    key = notes_key(side, backend)
    notes: list[str] = find_answers(session, [key]).get(key, {}).get("notes", [])
    return notes


def evidence_of(
    session: Session, case: Case, manifests: Mapping[str, Manifest]
) -> dict[str, Evidence]:
    """Every side's evidence, read back from its rows."""
    return {
        name: read_back(session, case.evaluation_id, name, manifest)
        for name, manifest in manifests.items()
    }


def verdict_on(session: Session, case: Case, evidence: Mapping[str, Evidence]) -> Verdict:
    """The verdict on this evidence, by the project's terms and waivers."""
    row = get_evaluation(session, case.evaluation_id)
    project = get_job(session, case.evaluation_id).project
    digest = evidence["candidate"].manifest.checkpoint.digest
    return decide(
        case.policy,
        evidence["baseline"],
        evidence["candidate"],
        repaired_from=evidence.get(FAILING),
        anchor=evidence.get("anchor"),
        terms=terms_in_force(session, row, project, digest),
    )
