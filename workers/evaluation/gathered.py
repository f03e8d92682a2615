"""The evidence of an evaluation as far as it was gathered: what its rows and its case say."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.trials import find_answers, read_back
from holdfast.evidence.file import Evidence
from holdfast.evidence.manifest import Manifest
from holdfast.probes.engine import Backend
from workers.evaluation.answers import notes_key
from workers.evaluation.case import Case, Side
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
