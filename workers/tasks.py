"""From a hint to a finished job: claim, beat, run, end. The task boundary of the project.

The pool child keeps one `Worker` for its whole life, and with it the warm engine. How a job ends is
decided here and nowhere else:

    the work returned                    succeeded
    the caller's mistake                 failed, with the sentence that says which
    the machine is too small             failed, with what it lacks
    canceled, or past its deadline       canceled | timed_out
    SIGTERM to the worker                back to the queue at once, another worker goes on
    the world was unwell                 back to the queue, for a little later
    a disk is full                       the same, for a minute later, and an event says so
    the database was migrated            back to the queue; this worker's version is another's, so
                                         it ends, and takes no job before it does
    lease lost                           nothing: somebody else holds the job
    anything else                        back to the queue as a crash; failed after three

An error that is not ours is written down without its message, in the row and in the log: what broke
may have been a parser of what a model said (`holdfast.failures`).
"""

import logging
import os
import signal
import socket
from functools import cache, partial

from celery.signals import worker_process_shutdown
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.evaluations import get_job
from holdfast.db.migrate import require_still_head
from holdfast.db.session import after_commit, open_database, reading, transaction
from holdfast.errors import CallerError, InvalidSettings, LeaseLost, MachineUnfit, Transient
from holdfast.failures import described, full_disk, log_trace
from holdfast.job import FINISHED, MAX_ATTEMPTS, EventKind, JobKind, Status
from holdfast.projects.next_repair import go_on
from holdfast.queue import HINT, try_hint
from workers import pipeline
from workers.children.sessions import reap_leftovers
from workers.children.supervisor import RunnerEngine
from workers.children.training_child import TrainingChild
from workers.heartbeat import Heartbeat, Loss
from workers.main import app, settings
from workers.repairs import climb
from workers.repairs.leftovers import clear, clear_ended
from workers.views import Views
from workers.worker import Worker

log = logging.getLogger(__name__)

DISK_SECONDS = 60.0  # until a job is tried again that found no room: somebody has to make some

WORK = {JobKind.EVALUATION: pipeline.evaluate, JobKind.REMEDIATION: climb.climb_or_repair}
ENDS = {Loss.CANCELED: Status.CANCELED, Loss.DEADLINE: Status.TIMED_OUT}


@cache
def this_worker() -> Worker:
    """The worker of this pool child, made after the spawn: no socket or lock survives a fork."""
    reap_leftovers(settings.home)
    return Worker(
        name=f"{socket.gethostname()}:{os.getpid()}",
        settings=settings,
        database=open_database(settings.database_url),
        broker=app,
        engine=RunnerEngine(settings),
        training=TrainingChild(settings),
        views=Views(settings.home),
    )


@worker_process_shutdown.connect
def leave_nothing(**_: object) -> None:
    """End the warm engine and remove its view when the pool child ends in good order."""
    if this_worker.cache_info().currsize:
        this_worker().stop()
        this_worker().views.close()


@app.task(name=HINT)
def take_hint(queue: str) -> None:
    """Work on whatever is runnable in this queue, until nothing is; then clear up."""
    try:
        work_on(this_worker(), queue)
    except InvalidSettings as error:
        log.warning("this worker ends, its version is not the database's: %s", error)
        os.kill(os.getppid(), signal.SIGTERM)  # the pool's parent; a new child would be as old


def work_on(worker: Worker, queue: str) -> None:
    """Take one job after the other; InvalidSettings once the database is another revision's."""
    while True:
        with transaction(worker.database) as session:
            require_still_head(session)
            lease = jobs.claim(
                session, queue=queue, owner=worker.name, seconds=settings.lease_seconds
            )
        if lease is None:
            clear_ended(worker)
            return
        run(worker, lease)


def run(worker: Worker, lease: jobs.Lease) -> None:
    """Work on one claimed job and write down how it ended."""
    log.info("job=%s epoch=%d claimed", lease.job_id, lease.epoch)
    every = worker.settings.heartbeat_seconds
    with Heartbeat(worker.database, lease, worker.stop, every=every) as beat:
        try:
            WORK[lease.kind](worker, lease)
        except SystemExit:
            hand_over(worker, lease)
            raise
        except Exception as error:  # the task boundary: every error ends a job here
            if moved := moved_on(worker):
                hand_over(worker, lease)
                raise moved from error
            end(worker, lease, error, beat.lost)
        finally:
            worker.views.close_unused(worker.engine.loaded)


def moved_on(worker: Worker) -> InvalidSettings | None:
    """The error where the database has another revision by now, which may be what broke a job."""
    try:
        with reading(worker.database) as session:
            require_still_head(session)
    except InvalidSettings as error:
        return error
    except SQLAlchemyError:  # it is away, and what is said of the job is said elsewhere
        return None
    return None


def hand_over(worker: Worker, lease: jobs.Lease) -> None:
    """Give the job back in good order: the worker is asked to stop, the job is not to blame."""
    worker.stop()
    with transaction(worker.database) as session:
        if jobs.release(session, lease):
            after_commit(session, partial(try_hint, worker.broker, worker.settings.queue))
    log.info("job=%s handed over", lease.job_id)


def end(worker: Worker, lease: jobs.Lease, error: Exception, lost: Loss | None) -> None:
    """Write down an end that is not a success; what was saved before it stays."""
    if lost in (Loss.LEASE, Loss.DATABASE) or isinstance(error, LeaseLost):
        log.warning("job=%s stopped: %s", lease.job_id, lost or described(error))
        return
    if lost is None and not isinstance(error, CallerError):
        log.error("job=%s broke off", lease.job_id)
        log_trace(log, f"job={lease.job_id}", error)
    try:
        with transaction(worker.database) as session:
            if lost is not None:
                jobs.finish(session, lease, ENDS[lost])
            else:
                settle(session, lease, error, worker.settings.retry_seconds)
            over = get_job(session, lease.job_id).status in FINISHED
            if go_on(session, lease.job_id):
                after_commit(session, partial(try_hint, worker.broker, worker.settings.queue))
        if over and lease.kind is JobKind.REMEDIATION:
            clear(worker.settings.home, lease.job_id)
    except LeaseLost as late:
        log.warning("job=%s stopped: %s", lease.job_id, late)


def settle(session: Session, lease: jobs.Lease, error: Exception, delay: float) -> None:
    """End or release a job after an error; the last crash allowed ends it with its message."""
    if isinstance(error, CallerError | MachineUnfit):
        jobs.finish(session, lease, Status.FAILED, error=described(error))
    elif full := full_disk(error):
        jobs.add_event(session, lease.job_id, EventKind.NOTE, {"text": described(full)})
        jobs.release(session, lease, delay=max(delay, DISK_SECONDS))
    elif isinstance(error, Transient | OperationalError):
        jobs.release(session, lease, delay=delay)
    elif jobs.crashes(session, lease) + 1 < MAX_ATTEMPTS:
        jobs.release(session, lease, crashed=True, delay=delay)
    else:
        jobs.finish(session, lease, Status.FAILED, error=described(error))
