"""The story of one evaluation, top to bottom.

Read what is compared, admit the checkpoints again, ask what is not yet answered, look by look where
the policy is sequential, save every trial as it comes, decide, write the verdict once. A side that
is in the cache costs no model call: its checkpoint is not even loaded. Whatever was saved by a
worker that died is not asked again. A repair on `confirm` is then asked what its policy does not.
"""

import time
from collections.abc import Mapping
from functools import partial

from sqlalchemy.orm import Session

from holdfast.checkpoints.checkpoint import verify_unchanged
from holdfast.db import jobs
from holdfast.db.evaluations import (
    get_evaluation,
    get_remediation,
    origin_of,
)
from holdfast.db.session import after_commit, reading, transaction
from holdfast.db.tables import CheckpointRow
from holdfast.db.trials import has_answers
from holdfast.evidence.manifest import Manifest
from holdfast.job import EventKind, Status
from holdfast.probes.table import probe_of
from holdfast.projects.decided_anew import waived_until
from holdfast.projects.next_repair import next_repair
from holdfast.queue import try_hint
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import Cost
from workers.checkpoints.loading import require_untouched
from workers.evaluation.asking import run_probe
from workers.evaluation.case import Case, load_case
from workers.evaluation.drift import measure_drift
from workers.evaluation.gathered import evidence_of, manifests_of, verdict_on
from workers.evaluation.looks import decided_probes, looks, stopping
from workers.evaluation.spending import spent_so_far
from workers.repairs.racing import loses_race
from workers.repairs.retest import retest
from workers.worker import Worker


def evaluate(worker: Worker, lease: jobs.Lease) -> None:
    """Bring an evaluation from its row to its verdict."""
    started = time.monotonic()
    begin_engine(worker, lease.job_id)
    case = load_case(worker, lease.job_id)
    stops: dict[str, int] = {}
    if not loses_race(worker, lease, case):
        stops = ask_all(worker, lease, case)
        measure_drift(worker, lease, case)
    case = retest(worker, lease, case, stops)
    for side in case.sides:
        require_untouched(worker, side.checkpoint)
        verify_unchanged(side.checkpoint.ref)
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        save_manifests(session, worker, case, stops)
    with reading(worker.database) as session:  # what is saved never changes; deciding takes a while
        verdict = decide_verdict(session, case)
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        seconds = round(time.monotonic() - started, 3)
        tokens = spent_so_far(session, case).tokens
        cost = Cost(tokens=tokens, seconds=seconds, device=worker.settings.queue)
        conclude(session, lease, case, verdict.with_cost(cost))
        if follow_up(session, case, verdict):
            after_commit(session, partial(try_hint, worker.broker, worker.settings.queue))


def begin_engine(worker: Worker, evaluation_id: str) -> None:
    """Start the engine of a candidate that has answered nothing, so that it imports meanwhile.

    One that has may be in the cache with all it is asked, and then costs no engine.
    """
    with reading(worker.database) as session:
        candidate = get_evaluation(session, evaluation_id).candidate_id
        answered = has_answers(session, session.get_one(CheckpointRow, candidate).digest)
    if not answered:
        worker.engine.begin()


def ask_all(worker: Worker, lease: jobs.Lease, case: Case) -> dict[str, int]:
    """Ask every side, look by look; returns after how many clusters each early probe stopped."""
    stops: dict[str, int] = {}
    for n_clusters in looks(case):
        for side in case.sides:
            for probe in side.probes:
                if probe not in stops and not probe_of(probe).compared:
                    run_probe(worker, lease, case, side, probe, n_clusters=n_clusters)
        so_far = stopping(case, n_clusters, stops)
        if so_far == stops:  # nothing is left to ask
            break
        with reading(worker.database) as session:
            evidence = evidence_of(session, case, manifests_of(session, worker, case, so_far))
        done = decided_probes(case, evidence)
        stops = {probe: place for probe, place in so_far.items() if probe in done}
    return stops


def save_manifests(session: Session, worker: Worker, case: Case, stops: Mapping[str, int]) -> None:
    """Say that every side is complete; manifests that are there already are kept."""
    row = get_evaluation(session, case.evaluation_id)
    manifests = {
        name: manifest.model_dump(mode="json", by_alias=True)
        for name, manifest in manifests_of(session, worker, case, stops).items()
    }
    row.manifests = {**manifests, **row.manifests}


def decide_verdict(session: Session, case: Case) -> Verdict:
    """The verdict on the evidence that was saved, by the project's terms and waivers."""
    row = get_evaluation(session, case.evaluation_id)
    manifests = {
        name: Manifest.model_validate(document) for name, document in row.manifests.items()
    }
    return verdict_on(session, case, evidence_of(session, case, manifests))


def conclude(session: Session, lease: jobs.Lease, case: Case, verdict: Verdict) -> None:
    """Write the verdict, once, and end the job in the same transaction."""
    row = get_evaluation(session, case.evaluation_id)
    row.verdict = verdict.verdict
    row.verdict_document = verdict.to_json().decode()
    row.waived_until = waived_until(session, row, verdict)
    row.cost = row.cost.changed(**(verdict.cost.model_dump() if verdict.cost else {}))
    document = {"verdict": verdict.verdict, "reasons": list(verdict.reasons)}
    jobs.add_event(session, lease.job_id, EventKind.VERDICT, document)
    jobs.finish(session, lease, Status.SUCCEEDED)


def follow_up(session: Session, case: Case, verdict: Verdict) -> bool:
    """Queue the next repair that the policy allows; True if there is one, so that a worker is told.

    A repair that was not shown to be good is followed by the next recipe, within the budget; one
    that somebody made by hand is not ours to go on with.
    """
    row = get_evaluation(session, case.evaluation_id)
    if row.repairs_id and not row.remediation_id:
        return False
    repair = row.remediation_id
    if repair and (ladder := get_remediation(session, repair).parent_id):
        return jobs.take_up(session, ladder)
    failed = verdict.verdict == "fail" or (repair and verdict.verdict != "pass")
    return bool(failed) and next_repair(session, origin_of(session, repair) if repair else row.id)
