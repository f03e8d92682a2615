"""The story of one repair: rehearsal data, plan, training child, checkpoint, child evaluation.

The safety data is made by the trusted baseline itself: it answers requests of the rehearsal pool
(which no gate ever asks), and only what the judge agrees with is kept, refusals of the harmful ones
and answers to the look-alikes. The child that trains knows nothing of rows and queues; it is told
everything in `plan.json`, and its memory dies with it. The repaired checkpoint is gated like any
other, on the `confirm` split, which is opened here and nowhere earlier.
"""

import shutil
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

from holdfast.checkpoints.checkpoint import CheckpointRef, admit
from holdfast.db import jobs
from holdfast.db.catalogue import register_checkpoint
from holdfast.db.evaluations import (
    EvaluationFields,
    fields_of,
    get_evaluation,
    get_job,
    get_remediation,
)
from holdfast.db.session import after_commit, reading, transaction
from holdfast.db.tables import EvaluationRow, JobRow, RemediationRow
from holdfast.errors import CheckpointRefused, CheckpointTouched, InvalidPlan
from holdfast.forecast.cost import weight_bytes
from holdfast.forecast.free_memory import fits_with_engine
from holdfast.job import EventKind, Split, Status
from holdfast.projects.audit import Actor, record
from holdfast.projects.rules import queue_evaluation
from holdfast.queue import try_hint
from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import DEPLOYED, recipe_spec
from holdfast.settings import make_folder
from workers.checkpoints.loading import naming_sources, require_untouched
from workers.checkpoints.plan_files import write_plan
from workers.evaluation.case import Repair, load_repair
from workers.repairs.ladder import race_of
from workers.repairs.leftovers import PAIRS, clear, clear_partial
from workers.repairs.planning import make_plan, on_views
from workers.views import StagedCheckpoint
from workers.worker import Worker

PROGRESS_SECONDS = 1.0
TRAINING_BYTES = 4 << 30  # of torch, activations and what is kept of the baseline
TRAINING_WEIGHTS = 12  # times the bytes of bf16 weights: fp32, gradients, two moments, a reference


def repair(worker: Worker, lease: jobs.Lease) -> None:
    """Bring a remediation from its row to a repaired checkpoint and its evaluation."""
    job = load_repair(worker, lease.job_id)
    if not job.output.exists():  # a whole checkpoint is there after a worker died past training
        for folder in (job.workspace, job.output.parent):
            make_folder(folder)
        clear_partial(worker.settings.home, job.remediation_id)
        try:
            make_checkpoint(worker, lease, job)
        finally:
            (job.workspace / PAIRS).unlink(missing_ok=True)
        clear(worker.settings.home, job.remediation_id)
    repaired = admit(str(job.output), worker.settings.roots)
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        conclude(session, worker, lease, repaired)


def make_checkpoint(worker: Worker, lease: jobs.Lease, job: Repair) -> None:
    """Plan, and have the training child carry it out."""
    plan = make_plan(worker, lease, job)
    with write_plan(job.workspace, plan, on_views(plan, job)) as file:
        note_plan(worker, lease, plan)
        if plan.spec.trains:
            make_way(worker, job)
        try:
            with naming_sources(*sources(job)):
                train(worker, lease, file)
        except InvalidPlan:
            if not job.output.exists():  # else the child of a worker that lost its lease was first
                raise
    require_sources_untouched(worker, job)


def sources(job: Repair) -> list[StagedCheckpoint]:
    """The checkpoints that a repair is made from."""
    checkpoints = (job.baseline.checkpoint, job.failing.checkpoint, job.unaligned)
    return [checkpoint for checkpoint in checkpoints if checkpoint is not None]


def require_sources_untouched(worker: Worker, job: Repair) -> None:
    """Raise, and keep nothing, where a checkpoint was touched while it was trained from."""
    try:
        for checkpoint in sources(job):
            require_untouched(worker, checkpoint)
    except (CheckpointRefused, CheckpointTouched):
        shutil.rmtree(job.output)
        raise


def make_way(worker: Worker, job: Repair) -> None:
    """Close the warm engine, unless a training fits beside it: it would have to start again."""
    weights = weight_bytes(job.baseline.checkpoint.path) or 0
    needed = TRAINING_BYTES + TRAINING_WEIGHTS * weights
    if not fits_with_engine(worker.engine.backend.name, needed):
        worker.engine.close()


def train(worker: Worker, lease: jobs.Lease, plan_file: Path) -> None:
    """Run the training child; its progress goes to the row as it comes."""
    due = 0.0
    with reading(worker.database) as session:
        furthest = get_remediation(session, lease.job_id).progress.get("step", 0)
    with closing(worker.training.run(plan_file)) as progress:  # an error here ends the child
        for line in progress:
            if line["event"] == "step" and line["step"] < line["steps"] and time.monotonic() < due:
                continue
            due = time.monotonic() + PROGRESS_SECONDS
            with transaction(worker.database) as session:
                jobs.fence(session, lease, got_on=line.get("step", 0) > furthest)
                get_remediation(session, lease.job_id).progress = line
                kind = EventKind.STEP if line["event"] == "step" else EventKind.TRAINING
                jobs.add_event(session, lease.job_id, kind, line)


def note_plan(worker: Worker, lease: jobs.Lease, plan: Plan) -> None:
    """Show the plan in the row before anything is trained."""
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        get_remediation(session, lease.job_id).plan = plan.model_dump(mode="json")
        jobs.add_event(session, lease.job_id, EventKind.PLAN, {"recipe": plan.recipe})


def conclude(session: Session, worker: Worker, lease: jobs.Lease, repaired: CheckpointRef) -> None:
    """Register the repaired checkpoint and have it gated, in the transaction that ends the job."""
    row = get_remediation(session, lease.job_id)
    failing = get_evaluation(session, row.evaluation_id)
    asker = get_job(session, row.id)
    checkpoint = register_checkpoint(
        session, asker.project, repaired, parent_id=failing.candidate_id
    )
    row.checkpoint_id = checkpoint.id  # now, since whoever asked for it is behind it
    new = replace(child_of(failing, asker, checkpoint.id, row), race=race_of(session, row))
    child = row.child_evaluation_id = queue_evaluation(session, new)
    if row.parent_id is not None:  # a try has as long as its ladder
        jobs.must_end(session, child, lease.deadline_at)
    record_repair(session, asker, child)
    document = {"checkpoint": checkpoint.id, "digest": repaired.digest, "evaluation": child}
    jobs.add_event(session, lease.job_id, EventKind.REPAIRED, document)
    jobs.finish(session, lease, Status.SUCCEEDED)
    after_commit(session, partial(try_hint, worker.broker, asker.queue))


def record_repair(session: Session, asker: JobRow, evaluation_id: str) -> None:
    """Have the trail say what comes into the project by a repair, and who asked for it."""
    actor = Actor(asker.project, asker.principal, asker.key_id, authenticated="server")
    candidate = get_evaluation(session, evaluation_id).candidate_id
    after = {"candidate": candidate, "remediation": asker.id}
    record(session, actor, "evaluation.submit", evaluation_id, after=after)


def child_of(
    failing: EvaluationRow,
    asker: JobRow,
    checkpoint_id: str,
    repair: RemediationRow,
    split: Split | None = None,
) -> EvaluationFields:
    """The evaluation of a repair: the same question as the failing one, on held-out items.

    It is `asker`'s, the job that wanted the repair. A ladder's try is asked `screen` items first.
    """
    return replace(
        fields_of(asker, failing),
        candidate_id=checkpoint_id,
        split=split or repair.split,
        template=DEPLOYED if recipe_spec(repair.recipe).retemplates else failing.template,
        repairs_id=failing.candidate_id,
        remediation_id=repair.id,
        race=None,
    )
