"""Ask one side one probe's questions, judge the answers, and save every trial as it comes.

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
from holdfast.evidence.manifest import Cut
from holdfast.evidence.trial import Measure, Trial, unscored
from holdfast.job import EventKind
from holdfast.policy.budget import Spent, exhausted
from holdfast.probes.question import Question
from holdfast.probes.table import probe_of, spec_of
from workers.evaluation.answers import Answered, answer_key, answer_questions, batches, notes_key
from workers.evaluation.case import Case, Side
from workers.evaluation.grading import Grade, grading
from workers.evaluation.looks import beginning
from workers.evaluation.preferring import preferring
from workers.evaluation.spending import cut_off, note_cut, remaining_prompts, spend, spent_so_far
from workers.worker import Worker

TOO_LONG = (
    "prompt and answer are longer than the context: HOLDFAST_MAX_MODEL_LEN is {limit}, and the "
    "model may allow less"
)


def run_probe(
    worker: Worker, lease: jobs.Lease, case: Case, side: Side, probe: str, *, n_clusters: int
) -> None:
    """Ask one side what it has not answered yet of a probe's first `n_clusters` clusters."""
    planned = beginning(case, probe, n_clusters)
    with reading(worker.database) as session:
        done = saved_items(session, case.evaluation_id, side.name)
        spent = spent_so_far(session, case)
    keys = {question: done.get((probe, question.item, question.variant)) for question in planned}
    saved_before = {question: key for question, key in keys.items() if key is not None}
    require_same_backend(worker, case, side, probe, saved_before)
    missing = [question for question in planned if question not in saved_before]
    total, finished, began = len(planned), len(planned) - len(missing), time.monotonic()
    stream = answer_questions(
        worker, case, side, probe, missing, max_prompts=remaining_prompts(case, spent)
    )
    unanswered, limit = dict.fromkeys(missing), worker.settings.max_model_len
    with judging(worker, case, side, probe) as grade, closing(stream):
        for batch in batches(stream):
            saved = to_save(grade, probe, batch, limit)
            finished += len(batch)
            fresh = [
                (answered.key, answered.answer.to_json()) for answered in batch if answered.fresh
            ]
            notes = file_notes(worker, side) if fresh else []
            ended = time.monotonic()
            with transaction(worker.database) as session:
                jobs.fence(session, lease, got_on=bool(saved))
                save_answers(session, side.checkpoint.digest, [*fresh, *notes])
                save_trials(session, lease, case.evaluation_id, side.name, saved)
                spent = spend(session, case, bill(batch, ended - began))
                progress = {"side": side.name, "probe": probe, "done": finished, "total": total}
                jobs.add_event(session, lease.job_id, EventKind.PROGRESS, progress)
            began = ended
            for answered in batch:
                del unanswered[answered.question]
            if fresh and unanswered and exhausted(case.limits, spent):
                break
    say_notes(worker, lease, side)
    if unanswered:
        with reading(worker.database) as session:
            why = exhausted(case.limits, spent_so_far(session, case))
        reason = why or "the budget has no room for it"
        cut(worker, lease, case, side, probe, list(unanswered), reason)


def to_save(grade: Grade, probe: str, batch: Sequence[Answered], limit: int) -> list[Saved]:
    """The trial of each answer of a batch, and the measures that its probe notes of it."""
    return [
        Saved(finding, answered.key)
        for answered in batch
        for finding in (
            grade_answer(grade, probe, answered, limit),
            *extra_measures(probe, answered),
        )
    ]


def file_notes(worker: Worker, side: Side) -> list[tuple[str, dict[str, Any]]]:
    """The engine's notes on the files of the open side, to be kept with its answers."""
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
            jobs.add_event(session, lease.job_id, EventKind.NOTE, {"side": side.name, "text": text})


def require_same_backend(
    worker: Worker, case: Case, side: Side, probe: str, saved: Mapping[Question, str]
) -> None:
    """Raise EngineFailed where another engine, version or dtype gave answers that are saved.

    The manifest says one backend of all of a side's answers. Another worker may be of that kind, so
    the job goes back to the queue for it. `saved` has the keys of those answers.
    """
    backend = worker.engine.backend
    for question, key in saved.items():
        if key != answer_key(case, side, probe, question, backend):
            raise EngineFailed(
                f"{side.name} {probe} was begun by a worker that does not compute as this one does "
                f"({backend.name} {backend.version} in {backend.dtype}); give all workers one "
                "version and one HOLDFAST_DTYPE, or submit it again"
            )


def bill(batch: Sequence[Answered], seconds: float) -> Spent:
    """The cost of a batch; answers from the cache cost nothing."""
    fresh = [answered for answered in batch if answered.fresh]
    prompts = sum(answered.question.prompts for answered in fresh)
    return Spent(
        prompts, sum(answered.answer.tokens for answered in fresh), seconds if fresh else 0.0
    )


def cut(  # noqa: PLR0913, PLR0917  # of whose answers to which probe, and by which job
    worker: Worker,
    lease: jobs.Lease,
    case: Case,
    side: Side,
    probe: str,
    questions: Sequence[Question],
    why: str,
) -> None:
    """Write down that these questions are not asked, and why."""
    keys = [
        (question, answer_key(case, side, probe, question, worker.engine.backend))
        for question in questions
    ]
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        save_trials(session, lease, case.evaluation_id, side.name, cut_off(probe, keys, why))
        note_cut(session, case, side.name, probe, Cut(trials=len(questions), because=why))
        note = {"side": side.name, "probe": probe, "not_asked": len(questions), "because": why}
        jobs.add_event(session, lease.job_id, EventKind.NOTE, note)


def judging(worker: Worker, case: Case, side: Side, probe: str) -> AbstractContextManager[Grade]:
    """The context with the function that judges this side's answers to this probe."""
    if spec_of(probe).opponent:
        return preferring(worker, case, side, probe)
    return grading(case, probe, worker.settings)


def grade_answer(grade: Grade, probe: str, answered: Answered, limit: int) -> Trial | Measure:
    """The judge's trial of an answer; one that did not fit the engine's context is unscored."""
    if not answered.answer.too_long:
        return grade(answered.question, answered.answer)
    item, cluster = answered.question.item, answered.question.cluster
    trial = unscored(probe, item, cluster, TOO_LONG.format(limit=limit))
    return replace(trial, variant=answered.question.variant, group=answered.question.group)


def extra_measures(probe: str, answered: Answered) -> Iterator[Measure]:
    """The measure that the probe takes of an answer in addition to its trial, if any."""
    measure_of = probe_of(probe).extra_measure
    if measure_of is not None and (measure := measure_of(answered.question, answered.answer)):
        yield replace(measure, probe=probe)
