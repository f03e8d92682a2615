"""The heartbeat: renews a job's lease, and ends the work as soon as it is not ours any more.

A thread beside the work, because the work itself blocks on the engine for minutes. Four things end
it: a cancel, the deadline, a lost lease, and a database that stayed silent for nearly as long as
the lease runs. That last one is judged by our own monotonic clock, from the last renewal: with the
database gone we cannot know whether somebody else holds the job, so we stop before they could. A
single failed renewal kills nothing.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from holdfast.db import jobs
from holdfast.db.session import reading, transaction
from holdfast.db.tables import JobRow
from holdfast.job import CANCEL_POLL_SECONDS, HEARTBEAT_SECONDS, Status

log = logging.getLogger(__name__)

FENCE_MARGIN = 1 / 6  # of the lease: this long before its end a worker without a database stops


class Loss(StrEnum):
    """Why the work must stop."""

    CANCELED = "canceled"
    DEADLINE = "deadline"
    LEASE = "lease"
    DATABASE = "database"


class Heartbeat:
    """A context around the work on one lease; `lost` is None as long as the job is ours."""

    def __init__(
        self,
        database: Engine,
        lease: jobs.Lease,
        stop: Callable[[], None],
        *,
        every: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`stop` ends the work from the outside; the thread calls it until the work has ended."""
        self.lost: Loss | None = None
        self._every = every
        self._database = database
        self._lease = lease
        self._stop = stop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        renewed = time.monotonic()
        while not self._over.wait(CANCEL_POLL_SECONDS):
            checked_at = time.monotonic()
            try:
                loss = self._look()
                if loss is None and checked_at - renewed >= self._every:
                    loss = self._renew()
                    renewed = checked_at
            except SQLAlchemyError as error:
                log.warning("job=%s no heartbeat: %s", self._lease.job_id, error)
                silent = time.monotonic() - renewed
                too_long = silent > self._lease.seconds * (1 - FENCE_MARGIN)
                loss = Loss.DATABASE if too_long else None
            if loss is Loss.LEASE and self._over.wait(CANCEL_POLL_SECONDS):
                return  # it was our own work that ended the job
            if loss is not None:
                self.lost = loss
                break
        while not self._over.is_set():  # what is about to start an engine has none to be killed yet
            self._stop()
            self._over.wait(CANCEL_POLL_SECONDS)

    def _look(self) -> Loss | None:
        with reading(self._database) as session:
            job = session.get(JobRow, self._lease.job_id)
            mine = job is not None and job.lease_epoch == self._lease.epoch
            if job is None or not mine or job.status != Status.RUNNING:
                return Loss.LEASE
            if job.cancel_requested_at is not None:
                return Loss.CANCELED
            return Loss.DEADLINE if jobs.now(session) > job.deadline_at else None

    def _renew(self) -> Loss | None:
        with transaction(self._database) as session:
            renewed = jobs.renew(session, self._lease)
        return None if renewed else self._look() or Loss.LEASE
