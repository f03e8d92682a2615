"""The heartbeat: renews a job's lease, and ends the work as soon as it is not ours any more.

A thread beside the work, because the work itself blocks on the engine for minutes. Four things end
it: a cancel, the deadline, a lost lease, and a database that stayed silent for nearly as long as
the lease runs. That last one is judged by our own monotonic clock: with the database gone we cannot
know whether somebody else holds the job, so we stop before they could. A single failed renewal
kills nothing.
"""

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
from holdfast.db.tables import Job
from holdfast.evaluation import CANCEL_POLL_SECONDS, HEARTBEAT_SECONDS, LEASE_SECONDS

FENCE_MARGIN_SECONDS = 5.0


class Loss(StrEnum):
    """Why the work must stop."""

    CANCELED = "canceled"
    DEADLINE = "deadline"
    LEASE = "lease"
    DATABASE = "database"


class Heartbeat:
    """A context around the work on one lease; `lost` is None as long as the job is ours."""

    def __init__(self, database: Engine, lease: jobs.Lease, stop: Callable[[], None]) -> None:
        """`stop` ends the work from the outside; it is called once, from the thread."""
        self.lost: Loss | None = None
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
        heard = renewed = time.monotonic()
        while not self._over.wait(CANCEL_POLL_SECONDS):
            try:
                loss = self._look()
                if loss is None and time.monotonic() - renewed >= HEARTBEAT_SECONDS:
                    loss = self._renew()
                    renewed = time.monotonic()
                heard = time.monotonic()
            except SQLAlchemyError:
                silent = time.monotonic() - heard
                loss = Loss.DATABASE if silent > LEASE_SECONDS - FENCE_MARGIN_SECONDS else None
            if loss is not None:
                self.lost = loss
                self._stop()
                return

    def _look(self) -> Loss | None:
        with reading(self._database) as session:
            job = session.get(Job, self._lease.job_id)
            if job is None or job.lease_epoch != self._lease.epoch or job.status != "running":
                return Loss.LEASE
            if job.cancel_requested_at is not None:
                return Loss.CANCELED
            return Loss.DEADLINE if jobs.now(session) > job.deadline_at else None

    def _renew(self) -> Loss | None:
        with transaction(self._database) as session:
            return None if jobs.renew(session, self._lease) else Loss.LEASE
