"""Listeners of event streams: jobs and keys are read once for all who ask at one moment.

Each stream on its own would ask the database twice a second, and some hundred of them leave it and
the threads of this process for nobody else. Here one statement a round says how far every job is
that is listened to; a job's new events, and whether a key still holds, are read once for all who
ask at one moment.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine, func, select

from holdfast.db.session import reading
from holdfast.db.tables import EventRow, JobRow
from holdfast.job import FINISHED, Status

LONGEST_KEPT = 10.0  # seconds; nothing is asked for that may be older
FORGET_SECONDS = 1.0

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Newest:
    """How far a job is: the number of its last event, and whether it has ended."""

    seq: int
    ended: bool


class Listening:
    """The listeners of one application."""

    def __init__(self, database: Engine) -> None:
        """Nobody listens yet."""
        self._database = database
        self._jobs = Counter[str]()
        self._reads: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}
        self._forgot = time.monotonic()

    @contextmanager
    def to(self, job_id: str) -> Iterator[None]:
        """Listen to a job."""
        self._jobs[job_id] += 1
        try:
            yield
        finally:
            self._jobs[job_id] -= 1
            self._jobs += Counter()  # forgets those that nobody listens to

    async def newest(self, job_id: str, seconds: float) -> Newest | None:
        """How far a job was so many seconds ago at most; None where it was not listened to then."""
        watched = list(self._jobs)
        found = await self.shared("newest", seconds, lambda: _newest(self._database, watched))
        return found.get(job_id)

    async def shared(self, what: Hashable, seconds: float, read: Callable[[], _Read]) -> _Read:
        """The result of `read` in a thread, or of somebody else's so many seconds ago at most."""
        moment = time.monotonic()
        began, task = self._reads.get(what, (-seconds, None))
        if task is None or moment - began >= seconds:
            self._forget(moment)
            task = asyncio.get_running_loop().create_task(run_in_threadpool(read))
            self._reads[what] = (moment, task)
        found: _Read = await asyncio.shield(task)  # one who leaves takes it from nobody else
        return found

    def _forget(self, moment: float) -> None:
        if moment - self._forgot < FORGET_SECONDS:
            return
        self._forgot = moment
        old = [what for what, (began, _) in self._reads.items() if moment - began > LONGEST_KEPT]
        for what in old:
            del self._reads[what]


def _newest(database: Engine, job_ids: list[str]) -> dict[str, Newest]:
    """How far each of the jobs is, as of one moment."""
    last = select(func.max(EventRow.seq)).where(EventRow.job_id == JobRow.id).scalar_subquery()
    with reading(database) as session:
        rows = session.execute(select(JobRow.id, JobRow.status, last).where(JobRow.id.in_(job_ids)))
        return {name: Newest(seq or 0, Status(status) in FINISHED) for name, status, seq in rows}


async def listening_of(request: Request) -> Listening:
    """The application's."""
    listening: Listening = request.app.state.listening
    return listening


ListeningDep = Annotated[Listening, Depends(listening_of)]
