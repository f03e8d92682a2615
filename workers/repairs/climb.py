"""The story of a ladder: look at the rows, take one step, rest until that is done.

The ladder (recipe `auto`) is a job that computes nothing itself: its tries are repairs and
evaluations like any other, claimed by any worker, and their rows are all that it knows. So a
worker that dies in mid-ladder costs what any job costs, and whoever takes over finds every
finished try done. What the next step is, `holdfast.ladder.steps` says.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.catalogue import find_unaligned
from holdfast.db.evaluations import (
    confirmations_of,
    create_remediation,
    evaluations_of,
    get_evaluation,
    get_job,
    get_remediation,
    tries_of,
)
from holdfast.db.session import after_commit, reading, transaction
from holdfast.db.tables import EvaluationRow, JobRow, RemediationRow
from holdfast.db.tries import Attempt, attempts, seconds_of
from holdfast.job import DEADLINE_SECONDS, EventKind, Status
from holdfast.ladder.rungs import AUTO, Confirm, End, Make, Resources, Step
from holdfast.ladder.steps import BUILT, next_step, skipped
from holdfast.projects.next_repair import next_repair
from holdfast.projects.rules import queue_evaluation
from holdfast.queue import try_hint
from workers.repairs.ladder import failed_checks, verdict_of
from workers.repairs.remedy import child_of, record_repair, repair
from workers.repairs.tries import past_tries, try_of
from workers.worker import Worker

REST_SECONDS = 30.0  # a try's end wakes its ladder; this is for ends that nobody saw
CONFIRMATION = 1.5  # of a screening: the baseline answers as well
CLOSING_SECONDS = 300.0  # beyond the budget, to write down how it ended


def climb_or_repair(worker: Worker, lease: jobs.Lease) -> None:
    """Work on a remediation: a ladder or a single repair."""
    with reading(worker.database) as session:
        recipe = get_remediation(session, lease.job_id).recipe
    (climb if recipe == AUTO else repair)(worker, lease)


def climb(worker: Worker, lease: jobs.Lease) -> None:
    """Take the ladder's next step, in one transaction."""
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        row, job = get_remediation(session, lease.job_id), get_job(session, lease.job_id)
        if job.cancel_requested_at is not None:
            jobs.finish(session, lease, Status.CANCELED)
            return
        failing = get_evaluation(session, row.evaluation_id)
        tried = [attempt for attempt in attempts(session, row.id) if attempt.repair.id != row.id]
        resources = resources_of(session, row, failing, tried)
        tries = [try_of(attempt) for attempt in tried]
        step = next_step(tries, resources)
        description = take(session, worker, row, failing, step, resources)
        row.progress = {
            "tries": len(tries),
            "step": description,
            "skipped": [
                {"recipe": rung.name, "because": why} for rung, why in skipped(tries, resources)
            ],
            "confirmations": confirmations_of(session, failing.candidate_id),
            "first": [
                {"recipe": name, "repaired": past.repairs, "tries": past.tries}
                for name, past in resources.past.items()
                if past.repairs
            ],
        }
        if isinstance(step, End):
            end(session, worker, lease, row, step)
        else:
            jobs.must_end(session, job.id, limit(row, job, hard=True))
            jobs.rest(session, lease, REST_SECONDS)


def limit(row: RemediationRow, job: JobRow, *, hard: bool = False) -> datetime:
    """When the budget's minutes are over; `hard`: when the job is, come what may."""
    begun = job.started_at or job.created_at
    if hard and row.options.get("complete_front"):
        return begun + timedelta(seconds=DEADLINE_SECONDS)
    closing = timedelta(seconds=CLOSING_SECONDS if hard else 0.0)
    return begun + timedelta(minutes=row.options["minutes"]) + closing


def resources_of(
    session: Session, row: RemediationRow, failing: EvaluationRow, tried: Sequence[Attempt]
) -> Resources:
    """The data, recipes and remaining budget that the ladder's next step can use."""
    return Resources(
        built=BUILT,
        task_data=failing.task_data is not None,
        unaligned=find_unaligned(session, failing.baseline_id) is not None,
        candidates=row.options["candidates"],
        seconds_remaining=(
            limit(row, get_job(session, row.id)) - jobs.now(session)
        ).total_seconds(),
        reserve=reserve_of(failing, tried),
        failed=failed_checks(failing),
        complete_front=bool(row.options.get("complete_front")),
        only=frozenset(row.options.get("only", ())),
        past=past_tries(session, row, failing),
    )


def reserve_of(failing: EvaluationRow, tried: Sequence[Attempt]) -> float:
    """Seconds to keep for a confirmation: those of the first evaluation, or of a try's screening.

    The baseline is asked other items than on `screen`, so a try's screening is taken for less.
    """
    cost = verdict_of(failing).cost
    at_first = cost.seconds if cost is not None else 0.0
    screening_seconds = [
        seconds for attempt in tried if (seconds := _seconds_if_complete(attempt)) is not None
    ]
    return min(at_first, CONFIRMATION * screening_seconds[-1]) if screening_seconds else at_first


def _seconds_if_complete(attempt: Attempt) -> float | None:
    """Seconds of a screening as if it had been asked everything; None if it was a few items."""
    if attempt.screen is None or (attempt.screen.race and attempt.screen.race.early):
        return None
    job = next(job for job in attempt.jobs if job.id == attempt.screen.id)
    account = attempt.screen.cost
    if job.finished_at is None or not account.prompts:
        return None
    skipped_trials = sum(cut.trials for cut in account.cut.get("candidate", {}).values())
    return seconds_of(job) * (account.prompts + skipped_trials) / account.prompts


def take(  # noqa: PLR0917  # a step, and everything that it stands on
    session: Session,
    worker: Worker,
    row: RemediationRow,
    failing: EvaluationRow,
    step: Step,
    resources: Resources,
) -> dict[str, Any]:
    """Queue the job that the step asks for; returns its description for people."""
    owner = get_job(session, row.id)
    match step:
        case Make(rung, split):
            made = create_remediation(
                session,
                row.evaluation_id,
                recipe=rung.recipe,
                options=dict(rung.options),
                parent_id=row.id,
                key_id=owner.key_id,
                principal=owner.principal,
            )
            get_remediation(session, made).split = split
            reserve = resources.reserve if split == "screen" else 0.0
            jobs.must_end(session, made, deadline_of(session, row, owner, reserve))
            after_commit(session, partial(try_hint, worker.broker, owner.queue))
            return {"make": rung.name, "id": made, "split": split}
        case Confirm(name):
            chosen = get_remediation(session, name)
            new = child_of(failing, owner, str(chosen.checkpoint_id), chosen, split="confirm")
            made = queue_evaluation(session, new)
            record_repair(session, owner, made)
            jobs.must_end(session, made, deadline_of(session, row, owner))
            jobs.add_event(session, row.id, EventKind.CONFIRM, {"try": name, "evaluation": made})
            after_commit(session, partial(try_hint, worker.broker, owner.queue))
            return {"confirm": name, "evaluation": made}
        case End(try_id, because):
            return {"found": try_id, "because": because}
        case _:
            return {"wait": True}


def deadline_of(
    session: Session, row: RemediationRow, job: JobRow, reserve: float = 0.0
) -> datetime:
    """When a try must be over: with the budget, less the seconds that a confirmation needs.

    Those that only complete the front have longer.
    """
    if any(
        "confirm" in evaluations_of(session, try_row.id) for try_row in tries_of(session, row.id)
    ):
        return limit(row, job, hard=True)
    return limit(row, job) - timedelta(seconds=reserve)


def end(
    session: Session, worker: Worker, lease: jobs.Lease, row: RemediationRow, step: End
) -> None:
    """Write down how the ladder ended; without a repair, the policy's next recipe follows."""
    jobs.add_event(session, row.id, EventKind.ENDED, {"because": step.because})
    if step.repair is not None:
        row.checkpoint_id = get_remediation(session, step.repair).checkpoint_id
        row.child_evaluation_id = evaluations_of(session, step.repair)["confirm"].id
        jobs.finish(session, lease, Status.SUCCEEDED)
        return
    jobs.finish(session, lease, Status.FAILED, error=f"NoRepairFound: {step.because}")
    if next_repair(session, row.evaluation_id):
        after_commit(session, partial(try_hint, worker.broker, worker.settings.queue))
