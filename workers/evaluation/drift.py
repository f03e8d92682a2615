"""drift.kl and drift.refusal in an evaluation: one child measures both checkpoints, once.

It needs activations, and every log-probability of the vocabulary from both, which no engine hands
out, so a child loads one model after the other. The warm engine is closed for it, unless it
computes on the CPU and leaves enough memory: starting it again would cost a canary more than all
its answers. Where it cannot be measured (no task data for drift.kl, a scripted engine, tokenizers
that differ) the check stays missing: it is advisory, so it holds nothing up, and what was not
measured is never a pass.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from holdfast.db import jobs
from holdfast.db.session import reading, transaction
from holdfast.db.trials import Saved, save_trials, saved_items
from holdfast.errors import CallerError
from holdfast.forecast.cost import weight_bytes
from holdfast.forecast.free_memory import fits_with_engine
from holdfast.job import EventKind
from holdfast.policy.budget import exhausted
from holdfast.probes import drift, refusal_drift
from holdfast.probes.question import Generate, Question
from holdfast.settings import make_folder
from workers.checkpoints.loading import naming_sources, require_untouched
from workers.evaluation.case import Case, Side
from workers.evaluation.spending import spent_so_far
from workers.worker import Worker

CHILD = "workers.inference.drift"
MEASURES = {probe.SPEC.name: probe.measures for probe in (drift, refusal_drift)}
TEMPERATURE = 1.0  # answers as the baseline gives them, not only its likeliest
CHILD_BYTES = 2 << 30  # of torch, a batch's activations and its distributions


def measure_drift(worker: Worker, lease: jobs.Lease, case: Case) -> None:
    """Save the candidate's drift from the baseline, unless it is there or cannot be had."""
    if worker.settings.engine == "scripted":
        return
    with reading(worker.database) as session:
        done = saved_items(session, case.evaluation_id, "candidate")
        over = exhausted(case.limits, spent_so_far(session, case))
    measured = {probe for probe, *_ in done}
    asked = {
        probe: case.questions[probe]
        for probe in MEASURES
        if case.questions.get(probe) and probe not in measured
    }
    if not asked:
        return
    if over is not None:
        note(worker, lease, asked, over)
        return
    sides = {side.name: side for side in case.sides}
    pair = (sides["baseline"], sides["candidate"])
    job = job_of(case, *pair, asked)
    folder = worker.settings.home / "work" / f"{case.evaluation_id}.drift"
    if not fits_with_engine(worker.engine.backend.name, memory_of(sides.values())):
        worker.engine.close()
    try:
        views: dict[str, str] = {side.name: str(side.checkpoint.path) for side in pair}
        with naming_sources(*(side.checkpoint for side in pair)):
            lines = run_child(worker, {**job, **views, "scratch": str(folder / "scratch")})
        for side in pair:
            require_untouched(worker, side.checkpoint)
    except CallerError as error:
        note(worker, lease, asked, str(error))
        return
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    key = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
    with transaction(worker.database) as session:
        jobs.fence(session, lease, got_on=True)
        for probe, questions in asked.items():
            saved = [Saved(measure, key) for measure in MEASURES[probe](lines)]
            save_trials(session, lease, case.evaluation_id, "candidate", saved)
            total = len(questions)
            progress = {"side": "candidate", "probe": probe, "done": total, "total": total}
            jobs.add_event(session, lease.job_id, EventKind.PROGRESS, progress)


def job_of(
    case: Case, baseline: Side, candidate: Side, asked: Mapping[str, Sequence[Question]]
) -> dict[str, object]:
    """The child's job: both checkpoints, prompts and sampling; the views are added later."""
    answered = asked.get(drift.SPEC.name, ())
    lengths = [ask.max_tokens for one in answered for ask in one.asks if isinstance(ask, Generate)]
    return {
        "baseline": str(baseline.checkpoint.ref.path),
        "candidate": str(candidate.checkpoint.ref.path),
        "template": case.template,
        "prompts": turns_of(answered),
        "requests": turns_of(asked.get(refusal_drift.SPEC.name, ())),
        "max_tokens": max(lengths, default=drift.SHORT),
        "temperature": TEMPERATURE,
        "seed": case.sampling.seed,
        "template_arguments": dict(case.sampling.template_arguments),
        "trace_tokens": case.sampling_of(baseline).trace_tokens,
    }


def turns_of(questions: Iterable[Question]) -> dict[str, list[tuple[str, str]]]:
    """The turns of every question, by item."""
    return {
        question.item: [(turn.role, turn.content) for turn in ask.prompt]
        for question in questions
        for ask in question.asks
        if isinstance(ask, Generate) and not isinstance(ask.prompt, str)
    }


def memory_of(sides: Iterable[Side]) -> int:
    """Bytes that the child takes: one model at a time, and a second one's worth to load it."""
    return CHILD_BYTES + 2 * max(weight_bytes(side.checkpoint.path) or 0 for side in sides)


def run_child(worker: Worker, job: dict[str, str | object]) -> list[dict[str, object]]:
    """Everything that the child found; raises what it could not do."""
    scratch = worker.settings.home.joinpath(str(job["scratch"]))
    make_folder(scratch)
    file = scratch.parent / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    with closing(worker.training.run(file, CHILD)) as lines:
        return list(lines)


def note(worker: Worker, lease: jobs.Lease, probes: Iterable[str], why: str) -> None:
    """Say in the job's events why there is no drift."""
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        for probe in probes:
            document = {"probe": probe, "not_measured": why}
            jobs.add_event(session, lease.job_id, EventKind.NOTE, document)
