"""From a hint to a finished job: claim, beat, run, end. The task boundary of the project.

The pool child keeps one `Worker` for its whole life, and with it the warm engine. How a job ends is
decided here and nowhere else:

    the work returned                    succeeded
    the caller's mistake                 failed, with the sentence that says which
    canceled, or past its deadline       canceled | timed_out
    SIGTERM to the worker                back to the queue at once, another worker goes on
    lease lost                           nothing: somebody else holds the job
    anything else                        back to the queue as a crash; failed after three
"""

import logging
import os
import socket
from functools import cache

from sqlalchemy.orm import Session

from holdfast.db import jobs
from holdfast.db.session import open_database, transaction
from holdfast.errors import CallerError, HoldfastError, LeaseLost, Transient
from holdfast.evaluation import MAX_ATTEMPTS, JobKind, Status
from holdfast.queue import POKE
from workers import pipeline, remedy
from workers.heartbeat import Heartbeat, Loss
from workers.main import app, settings
from workers.sessions import reap_leftovers
from workers.supervisor import RunnerEngine
from workers.training_child import TrainingChild
from workers.worker import Worker

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
WORK = {JobKind.EVALUATION: pipeline.evaluate, JobKind.REMEDIATION: remedy.repair}
ENDS = {Loss.CANCELED: Status.CANCELED, Loss.DEADLINE: Status.TIMED_OUT}


@cache
def this_worker() -> Worker:
    """Made in the pool child, after the spawn: neither sockets nor locks survive a fork."""
    reap_leftovers(settings.home)
    return Worker(
        name=f"{socket.gethostname()}:{os.getpid()}",
        settings=settings,
        database=open_database(settings.database_url),
        broker=app,
        engine=RunnerEngine(settings),
        training=TrainingChild(settings),
    )


@app.task(name=POKE)
def poke(queue: str) -> None:
    """Work on whatever is runnable in this queue, until nothing is."""
    worker = this_worker()
    while True:
        with transaction(worker.database) as session:
            lease = jobs.claim(session, queue=queue, owner=worker.name)
        if lease is None:
            return
        run(worker, lease)


def run(worker: Worker, lease: jobs.Lease) -> None:
    """Work on one claimed job and write down how it ended."""
    log.info("job=%s epoch=%d claimed", lease.job_id, lease.epoch)
    with Heartbeat(worker.database, lease, worker.stop) as beat:
        try:
            WORK[lease.kind](worker, lease)
        except SystemExit:
            hand_over(worker, lease)
            raise
        except LeaseLost as error:
            log.warning("job=%s %s", lease.job_id, error)
        except Exception as error:  # noqa: BLE001  the task boundary: every error ends a job here
            end(worker, lease, error, beat.lost)


def hand_over(worker: Worker, lease: jobs.Lease) -> None:
    """Give the job back in good order: the worker is asked to stop, the job is not to blame."""
    worker.stop()
    with transaction(worker.database) as session:
        jobs.release(session, lease)
    log.info("job=%s handed over", lease.job_id)


def end(worker: Worker, lease: jobs.Lease, error: Exception, lost: Loss | None) -> None:
    """Write down an end that is not a success; what was saved before it stays."""
    if lost in (Loss.LEASE, Loss.DATABASE):
        log.warning("job=%s stopped: %s", lease.job_id, lost)
        return
    with transaction(worker.database) as session:
        if lost is not None:
            jobs.finish(session, lease, ENDS[lost])
        elif isinstance(error, CallerError):
            jobs.finish(session, lease, Status.FAILED, error=f"{error.title}: {error}")
        elif isinstance(error, Transient):
            jobs.release(session, lease, delay=RETRY_SECONDS)
        else:
            log.error("job=%s crashed", lease.job_id, exc_info=error)
            crash(session, lease, error)


def crash(session: Session, lease: jobs.Lease, error: Exception) -> None:
    """Count a crash; the last one that is allowed ends the job with its message."""
    if jobs.crashes(session, lease) + 1 < MAX_ATTEMPTS:
        jobs.release(session, lease, crashed=True, delay=RETRY_SECONDS)
        return
    name = error.title if isinstance(error, HoldfastError) else type(error).__name__
    jobs.finish(session, lease, Status.FAILED, error=f"{name}: {error}")
