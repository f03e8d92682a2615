"""The safety rows of a rehearsal: the trusted baseline's own answers to the rehearsal pool.

No gate ever asks a request of the pool. Only what the judge agrees with is kept: refusals of the
harmful requests, full answers to the look-alikes. And only as many are asked as the mix draws,
since on a small machine these answers cost more than the training.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from holdfast.db import jobs
from holdfast.db.session import transaction
from holdfast.db.trials import save_answers
from holdfast.errors import RepairImpossible
from holdfast.job import EventKind
from holdfast.judges.coherence import incoherence
from holdfast.judges.refusal import judge_refusal
from holdfast.probes.question import Question
from holdfast.probes.rehearsal import questions
from holdfast.repairs.plan import Plan, rows_drawn
from holdfast.repairs.recipes import Kind
from holdfast.suites import Request, load_suite
from workers.evaluation.answers import Answered, answer_questions, batches
from workers.evaluation.case import Case, Repair, Side
from workers.worker import Worker

REHEARSAL = "rehearsal"
SPARE = 1.25  # asked beyond the mix's need, since the judge does not agree with every answer
SOURCES: dict[Kind, str] = {"refusal": "harmful", "answer": "benign"}


def write_rehearsal(worker: Worker, lease: jobs.Lease, repair: Repair, plan: Plan) -> Path:
    """Have the baseline answer as many requests as the mix draws; keep what the judge agrees with.

    Raises RepairImpossible if that leaves a source of the mix empty.
    """
    lines: list[dict[str, str]] = []
    needs = plan.source_rows
    needs["refusal"] = max(needs["refusal"], plan.telling_refusals)
    if plan.spec.family == "searching":  # which scores refusals and trains on nothing
        needs = {"task": 0, "refusal": plan.hma.rows, "answer": 0}
    needs = {kind: count + math.ceil(plan.bound_rows / 2) for kind, count in needs.items()}
    if plan.watched_refusals:  # which train nothing
        needs["refusal"] += plan.watched_refusals + 1
    for kind, count in rows_drawn(plan.mix, plan.sliced_rows).items():
        needs[kind] += count
    for kind, source in SOURCES.items():
        requests = pool(repair.case, source, math.ceil(needs[kind] * SPARE))
        rows = usable_answers(worker, lease, repair, kind, requests)[: needs[kind]]
        if needs[kind] and not rows:
            raise RepairImpossible(
                f"of {len(requests)} {source} requests the baseline gave no {kind} that the judge "
                "agrees with, so there is nothing to rehearse; is it really the trusted one?"
            )
        lines += rows
    path = repair.workspace / "rehearsal.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def pool(case: Case, source: str, count: int) -> tuple[Question, ...]:
    """The first `count` requests of one half of the rehearsal pool, hazards taking turns."""
    by_topic: dict[str, list[Request]] = {}
    for item in load_suite(REHEARSAL).items:
        if isinstance(item, Request) and item.kind == source:
            by_topic.setdefault(item.topic, []).append(item)
    rounds = max(len(items) for items in by_topic.values())
    turns = [items[i] for i in range(rounds) for items in by_topic.values() if i < len(items)]
    return questions(turns[:count], case.sampling.max_tokens)


def usable_answers(
    worker: Worker, lease: jobs.Lease, repair: Repair, kind: Kind, requests: Sequence[Question]
) -> list[dict[str, str]]:
    """The rows of the baseline's answers that the judge agrees with, in the requests' order."""
    rows: dict[str, dict[str, str]] = {}
    for answered in put_to(worker, lease, repair, repair.baseline, requests, saved=True):
        row = rehearsal_row(kind, answered.question.prompt_text, answered.answer.text)
        if row is not None:
            rows[answered.question.item] = row
    return [rows[question.item] for question in requests if question.item in rows]


def put_to(
    worker: Worker,
    lease: jobs.Lease,
    repair: Repair,
    side: Side,
    requests: Sequence[Question],
    *,
    saved: bool,
) -> Iterator[Answered]:
    """Every request with a side's answer, as they come; in the cache too where they are `saved`."""
    case = replace(repair.case, suites={REHEARSAL: load_suite(REHEARSAL).digest})
    done = 0
    for batch in batches(answer_questions(worker, case, side, REHEARSAL, requests)):
        done += len(batch)
        progress = {"side": side.name, "probe": REHEARSAL, "done": done, "total": len(requests)}
        with transaction(worker.database) as session:
            fresh = [(one.key, one.answer.to_json()) for one in batch if one.fresh and saved]
            jobs.fence(session, lease, got_on=bool(fresh))
            save_answers(session, side.checkpoint.digest, fresh)
            jobs.add_event(session, lease.job_id, EventKind.PROGRESS, progress)
        yield from batch


def rehearsal_row(kind: Kind, prompt: str, completion: str) -> dict[str, str] | None:
    """A training row, if a harmful request was refused or a harmless one answered in full.

    A completion is cut back to its last whole sentence: its end is where the model learns to stop.
    """
    wanted = {"refusal": "refusal", "answer": "compliance"}[kind]
    text = complete_sentences(completion)
    if judge_refusal(prompt, completion).label != wanted or not text:
        return None
    if kind == "answer" and incoherence(prompt, completion) is not None:
        return None
    return {"kind": kind, "prompt": prompt, "completion": text}


def complete_sentences(text: str) -> str:
    """The text up to the end of its last whole sentence; empty when there is none."""
    stripped = text.strip()
    if stripped.endswith((".", "!", "?")):
        return stripped
    end = max(stripped.rfind(mark + gap) for mark in ".!?" for gap in " \n")
    return stripped[: end + 1]
