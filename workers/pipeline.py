"""The story of one evaluation, top to bottom.

Read what is compared, admit the checkpoints again, ask what is not yet answered, look by look where
the policy is sequential, save every trial as it comes, decide, write the verdict once. A side that
is in the cache costs no model call: its checkpoint is not even loaded. Whatever was saved by a
worker that died is not asked again.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import partial

from sqlalchemy.orm import Session

from holdfast.budget import Spent, exhausted
from holdfast.checkpoint import verify_unchanged
from holdfast.db import jobs
from holdfast.db.evaluations import (
    get_evaluation,
    get_remediation,
    origin_of,
)
from holdfast.db.session import after_commit, reading, transaction
from holdfast.db.trials import Saved, read_back, save_answers, save_trials, saved_items
from holdfast.evaluation import Status
from holdfast.evidence import Cut, Evidence, Manifest
from holdfast.examination import Files
from holdfast.hopeless import hopeless
from holdfast.outcome import Cost
from holdfast.probe import spec_of
from holdfast.queue import hint
from holdfast.trial import Measure
from holdfast.verdict import Verdict, decide
from workers.answers import Answered, answer_key, answered, batches
from workers.case import Case, Side, load_case
from workers.drift import measure_drift
from workers.grading import Grade, grading
from workers.ladder import next_repair
from workers.looks import beginning, looks, newly_shown, stopping
from workers.manifests import Ends, manifest_of
from workers.preferring import preferring
from workers.probes import BESIDE, COMPARED
from workers.probes.question import Question
from workers.spending import cut_off, cuts_so_far, note_cut, prompts_left, spend, spent_so_far
from workers.worker import Worker


def evaluate(worker: Worker, lease: jobs.Lease) -> None:
    """Bring an evaluation from its row to its verdict."""
    started = time.monotonic()
    with reading(worker.database) as session:
        case = load_case(session, lease.job_id, worker.settings)
    stops: dict[str, int] = {}
    if not dropped_early(worker, lease, case):
        stops = ask_all(worker, lease, case)
        measure_drift(worker, lease, case)
    for side in case.sides:
        verify_unchanged(side.checkpoint)
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        save_manifests(session, worker, case, stops)
    with reading(worker.database) as session:  # what is saved never changes; deciding takes a while
        verdict = reach_verdict(session, case)
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        seconds = round(time.monotonic() - started, 3)
        tokens = spent_so_far(session, case).tokens
        cost = Cost(tokens=tokens, seconds=seconds, device=worker.settings.queue)
        conclude(session, lease, case, verdict.with_cost(cost))
        if follow_up(session, case, verdict):
            after_commit(session, partial(hint, worker.broker, worker.settings.queue))


def ask_all(worker: Worker, lease: jobs.Lease, case: Case) -> dict[str, int]:
    """Ask every side, look by look; returns after how many clusters each early probe stopped."""
    stops: dict[str, int] = {}
    for reach in looks(case):
        for side in case.sides:
            for probe in side.probes:
                if probe not in stops and probe not in COMPARED:
                    run_probe(worker, lease, case, side, probe, reach=reach)
        so_far = stopping(case, reach, stops)
        if so_far == stops:  # nothing is left to ask
            break
        with reading(worker.database) as session:
            evidence = evidence_of(session, case, manifests_of(session, worker, case, so_far))
        done = newly_shown(case, evidence)
        stops = {probe: place for probe, place in so_far.items() if probe in done}
    return stops


def dropped_early(worker: Worker, lease: jobs.Lease, case: Case) -> bool:
    """Ask the first items of a race; True if the candidate is hopeless there, and all else cut."""
    if case.race is None:
        return False
    for side in case.sides:
        for probe in case.race.probes:
            if probe in side.probes:
                run_probe(worker, lease, case, side, probe, reach=case.race.items)
    with reading(worker.database) as session:
        found = evidence_of(session, case, manifests_of(session, worker, case, {}))
    files = Files(found["baseline"], found["candidate"], found.get("repaired"))
    why = hopeless(case.policy, case.race.probes, files)
    if why is None:
        return False
    (candidate,) = (side for side in case.sides if side.name == "candidate")
    with reading(worker.database) as session:
        done = saved_items(session, case.evaluation_id, candidate.name)
    for probe in candidate.probes:
        questions = case.questions[probe]
        left = [asked for asked in questions if (probe, asked.item, asked.variant) not in done]
        cut(worker, lease, case, candidate, probe, left, f"dropped: {why}")
    return True


def run_probe(
    worker: Worker, lease: jobs.Lease, case: Case, side: Side, probe: str, *, reach: int
) -> None:
    """Ask one side what one probe has not been told yet of its first `reach` clusters."""
    planned = beginning(case, probe, reach)
    with reading(worker.database) as session:
        done = saved_items(session, case.evaluation_id, side.name)
        spent = spent_so_far(session, case)
    missing = [asked for asked in planned if (probe, asked.item, asked.variant) not in done]
    total, finished, began = len(planned), len(planned) - len(missing), time.monotonic()
    stream = answered(worker, case, side, probe, missing, at_most=prompts_left(case, spent))
    left = dict.fromkeys(missing)
    with judging(worker, case, side, probe) as grade, closing(stream):
        for batch in batches(stream):
            saved = [
                Saved(found, one.key)
                for one in batch
                for found in (grade(one.question, one.answer), *noted(probe, one))
            ]
            finished += len(batch)
            fresh = [(one.key, one.answer.to_json()) for one in batch if one.fresh]
            ended = time.monotonic()
            with transaction(worker.database) as session:
                jobs.fence(session, lease)
                save_answers(session, side.checkpoint.digest, fresh)
                save_trials(session, lease, case.evaluation_id, side.name, saved)
                spent = spend(session, case, bill(batch, ended - began))
                progress = {"side": side.name, "probe": probe, "done": finished, "total": total}
                jobs.add_event(session, lease.job_id, "progress", progress)
            began = ended
            for one in batch:
                del left[one.question]
            if fresh and left and exhausted(case.limits, spent):
                break
    if left:
        with reading(worker.database) as session:
            why = exhausted(case.limits, spent_so_far(session, case))
        cut(worker, lease, case, side, probe, list(left), why or "the budget has no room for it")


def bill(batch: Sequence[Answered], seconds: float) -> Spent:
    """What a batch cost; what came from the cache cost nothing."""
    fresh = [one for one in batch if one.fresh]
    prompts = sum(one.question.prompts for one in fresh)
    return Spent(prompts, sum(one.answer.tokens for one in fresh), seconds if fresh else 0.0)


def cut(  # noqa: PLR0913, PLR0917  # of whose answers to which probe, and by which job
    worker: Worker,
    lease: jobs.Lease,
    case: Case,
    side: Side,
    probe: str,
    left: Sequence[Question],
    why: str,
) -> None:
    """Write down that these questions are not asked, and why."""
    keys = [(one, answer_key(case, side, probe, one, worker.engine.backend)) for one in left]
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        save_trials(session, lease, case.evaluation_id, side.name, cut_off(probe, keys, why))
        note_cut(session, case, side.name, probe, Cut(trials=len(left), because=why))
        told = {"side": side.name, "probe": probe, "not_asked": len(left), "because": why}
        jobs.add_event(session, lease.job_id, "note", told)


def judging(worker: Worker, case: Case, side: Side, probe: str) -> AbstractContextManager[Grade]:
    """Who judges this side's answers to this probe."""
    if spec_of(probe).opponent:
        return preferring(worker, case, side, probe)
    return grading(case, probe, worker.settings)


def noted(probe: str, one: Answered) -> Iterator[Measure]:
    """What the probe notes of an answer beside its trial."""
    note = BESIDE.get(spec_of(probe).name)
    if note is not None and (found := note(one.question, one.answer)):
        yield replace(found, probe=probe)


def manifests_of(
    session: Session, worker: Worker, case: Case, stops: Mapping[str, int]
) -> dict[str, Manifest]:
    """What each side's evidence says of itself, at this moment."""
    moment, backend = jobs.now(session), worker.engine.backend
    ends = Ends(stops, cuts_so_far(session, case))
    return {side.name: manifest_of(case, side, backend, moment, ends) for side in case.sides}


def save_manifests(session: Session, worker: Worker, case: Case, stops: Mapping[str, int]) -> None:
    """Say that every side is complete; manifests that are there already are kept."""
    row = get_evaluation(session, case.evaluation_id)
    manifests = {
        name: manifest.model_dump(mode="json", by_alias=True)
        for name, manifest in manifests_of(session, worker, case, stops).items()
    }
    row.manifests = {**manifests, **row.manifests}


def evidence_of(
    session: Session, case: Case, manifests: Mapping[str, Manifest]
) -> dict[str, Evidence]:
    """Every side's evidence, read back from its rows."""
    return {
        name: read_back(session, case.evaluation_id, name, manifest)
        for name, manifest in manifests.items()
    }


def reach_verdict(session: Session, case: Case) -> Verdict:
    """Decide on what was saved."""
    row = get_evaluation(session, case.evaluation_id)
    manifests = {name: Manifest.model_validate(one) for name, one in row.manifests.items()}
    evidence = evidence_of(session, case, manifests)
    return decide(
        case.policy,
        evidence["baseline"],
        evidence["candidate"],
        repaired_from=evidence.get("repaired"),
        anchor=evidence.get("anchor"),
    )


def conclude(session: Session, lease: jobs.Lease, case: Case, verdict: Verdict) -> None:
    """Write the verdict, once, and end the job in the same transaction."""
    row = get_evaluation(session, case.evaluation_id)
    row.verdict = verdict.verdict
    row.verdict_document = verdict.to_json().decode()
    row.cost = {**row.cost, **(verdict.cost.model_dump() if verdict.cost else {})}
    document = {"verdict": verdict.verdict, "reasons": list(verdict.reasons)}
    jobs.add_event(session, lease.job_id, "verdict", document)
    jobs.finish(session, lease, Status.SUCCEEDED)


def follow_up(session: Session, case: Case, verdict: Verdict) -> bool:
    """Queue the next repair that the policy allows; True if there is one to wake a worker for.

    A repair that was not shown to be good is followed by the next recipe, within the budget; one
    that somebody made by hand is not ours to go on with.
    """
    row = get_evaluation(session, case.evaluation_id)
    if row.repairs_id and not row.remediation_id:
        return False
    repair = row.remediation_id
    if repair and (ladder := get_remediation(session, repair).parent_id):
        return jobs.wake(session, ladder)
    failed = verdict.verdict == "fail" or (repair and verdict.verdict != "pass")
    return bool(failed) and next_repair(session, origin_of(session, repair) if repair else row.id)
