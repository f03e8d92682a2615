"""Ask one side what one probe wants to know, judge the answers, and save every trial as it comes.

Whatever was saved by a worker that died is not asked again; what the budget has no room for is
written down as not asked.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import Any

from holdfast.db import jobs
from holdfast.db.session import reading, transaction
from holdfast.db.trials import Saved, save_answers, save_trials, saved_items
from holdfast.errors import EngineFailed
from holdfast.evidence.file import Cut
from holdfast.evidence.trial import Measure, Trial, unscored
from holdfast.policy.budget import Spent, exhausted
from holdfast.probes.question import Question
from holdfast.probes.table import probe_of, spec_of
from workers.evaluation.answers import Answered, answer_key, answered, batches, notes_key
from workers.evaluation.case import Case, Side
from workers.evaluation.grading import Grade, grading
from workers.evaluation.looks import beginning
from workers.evaluation.preferring import preferring
from workers.evaluation.spending import cut_off, note_cut, prompts_left, spend, spent_so_far
from workers.worker import Worker

TOO_LONG = (
    "prompt and answer are longer than the context: HOLDFAST_MAX_MODEL_LEN is {limit}, and the "
    "model may allow less"
)


def run_probe(
    worker: Worker, lease: jobs.Lease, case: Case, side: Side, probe: str, *, reach: int
) -> None:
    """Ask one side what one probe has not been told yet of its first `reach` clusters."""
    planned = beginning(case, probe, reach)
    with reading(worker.database) as session:
        done = saved_items(session, case.evaluation_id, side.name)
        spent = spent_so_far(session, case)
    keys = {asked: done.get((probe, asked.item, asked.variant)) for asked in planned}
    saved_before = {asked: key for asked, key in keys.items() if key is not None}
    require_one_backend(worker, case, side, probe, saved_before)
    missing = [asked for asked in planned if asked not in saved_before]
    total, finished, began = len(planned), len(planned) - len(missing), time.monotonic()
    stream = answered(worker, case, side, probe, missing, at_most=prompts_left(case, spent))
    left, limit = dict.fromkeys(missing), worker.settings.max_model_len
    with judging(worker, case, side, probe) as grade, closing(stream):
        for batch in batches(stream):
            saved = [
                Saved(found, one.key)
                for one in batch
                for found in (graded(grade, probe, one, limit), *noted(probe, one))
            ]
            finished += len(batch)
            fresh = [(one.key, one.answer.to_json()) for one in batch if one.fresh]
            notes = file_notes(worker, side) if fresh else []
            ended = time.monotonic()
            with transaction(worker.database) as session:
                jobs.fence(session, lease)
                save_answers(session, side.checkpoint.digest, [*fresh, *notes])
                save_trials(session, lease, case.evaluation_id, side.name, saved)
                spent = spend(session, case, bill(batch, ended - began))
                progress = {"side": side.name, "probe": probe, "done": finished, "total": total}
                jobs.add_event(session, lease.job_id, "progress", progress)
            began = ended
            for one in batch:
                del left[one.question]
            if fresh and left and exhausted(case.limits, spent):
                break
    say_notes(worker, lease, side)
    if left:
        with reading(worker.database) as session:
            why = exhausted(case.limits, spent_so_far(session, case))
        cut(worker, lease, case, side, probe, list(left), why or "the budget has no room for it")


def file_notes(worker: Worker, side: Side) -> list[tuple[str, dict[str, Any]]]:
    """What the engine noted of the files of the side that is open, to be kept with its answers."""
    notes = worker.engine.file_notes
    return [(notes_key(side, worker.engine.backend), {"notes": list(notes)})] if notes else []


def say_notes(worker: Worker, lease: jobs.Lease, side: Side) -> None:
    """Put into the job's events what the engine found out of the ordinary in a checkpoint."""
    notes = worker.engine.take_notes()
    if not notes:
        return
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        for text in notes:
            jobs.add_event(session, lease.job_id, "note", {"side": side.name, "text": text})


def require_one_backend(
    worker: Worker, case: Case, side: Side, probe: str, saved: Mapping[Question, str]
) -> None:
    """Raise EngineFailed where another engine, version or dtype gave answers that are saved.

    The manifest says one backend of all of a side's answers. Another worker may be of that kind, so
    the job goes back to the queue for it. `saved` has the keys of those answers.
    """
    backend = worker.engine.backend
    for asked, key in saved.items():
        if key != answer_key(case, side, probe, asked, backend):
            raise EngineFailed(
                f"{side.name} {probe} was begun by a worker that does not compute as this one does "
                f"({backend.name} {backend.version} in {backend.dtype}); give all workers one "
                "version and one HOLDFAST_DTYPE, or submit it again"
            )


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


def graded(grade: Grade, probe: str, one: Answered, limit: int) -> Trial | Measure:
    """What the judge says of an answer; what did not fit the context of the engine is unscored."""
    if not one.answer.too_long:
        return grade(one.question, one.answer)
    item, cluster = one.question.item, one.question.cluster
    trial = unscored(probe, item, cluster, TOO_LONG.format(limit=limit))
    return replace(trial, variant=one.question.variant, group=one.question.group)


def noted(probe: str, one: Answered) -> Iterator[Measure]:
    """What the probe notes of an answer beside its trial."""
    note = probe_of(probe).beside
    if note is not None and (found := note(one.question, one.answer)):
        yield replace(found, probe=probe)
