"""Waiting for a job without losing it: events for the eye, the job's own status for the answer.

The event stream is read in a thread, so that a timeout is kept while the server says nothing. A
server that goes away (a deployment) is asked again for PATIENCE_SECONDS; the job runs on meanwhile.
"""

import argparse
import queue
import threading
import time

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.api.subject import Subject, require_about, require_submitted, subject_of
from holdfast.cli.command import GAVE_UP_WAITING, emit, note
from holdfast.errors import ERRORS, CallerError, HarnessError, HoldfastError, Unreachable
from holdfast.job import Status
from holdfast.verdict.document import Verdict

PATIENCE_SECONDS = 120.0
AGAIN_SECONDS = 2.0


class GaveUpWaiting(HoldfastError):
    """The time to wait is over; the job runs on, and there is no verdict yet."""

    exit_code = 5
    status = 504


class Deadline:
    """A time limit for waiting; None waits for ever."""

    def __init__(self, seconds: float | None) -> None:
        """Starts now, by the monotonic clock."""
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left, not below 0."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


def wait_for_end(client: Client, job_id: str, deadline: Deadline) -> None:
    """Return when the job has ended; GaveUpWaiting, or Unreachable after a long silence."""
    from holdfast.cli.progress import ProgressView  # a verdict that is there needs no bars

    heard, last_seq = time.monotonic(), 0
    with ProgressView() as view:
        while True:
            try:
                for event in EventSource(client, job_id, last_seq, deadline):
                    last_seq, heard = event.seq, time.monotonic()
                    view.show(event)
            except Unreachable as error:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise
                note(f"{error}; asking again")
                _pause(job_id, deadline)
            else:
                return


def final_verdict(
    client: Client, evaluation_id: str, deadline: Deadline, subject: Subject | None = None
) -> Verdict:
    """Wait for an evaluation's end and give its verdict; HarnessError where it ended without."""
    wait_for_end(client, evaluation_id, deadline)
    return verdict_of(client, evaluation_id, subject)


def verdict_of(client: Client, evaluation_id: str, subject: Subject | None = None) -> Verdict:
    """The verdict of an evaluation, now; says why where there is none (yet).

    It must be about `subject`, by default about what the server says that it registered.
    """
    evaluation = client.evaluation(evaluation_id)
    if evaluation.status in (Status.QUEUED, Status.RUNNING):
        raise GaveUpWaiting(
            f"NO VERDICT YET: {evaluation_id} is {evaluation.status.value}; "
            f"wait for it with `holdfast wait {evaluation_id}`"
        )
    if evaluation.status is not Status.SUCCEEDED:
        raise ended_without("verdict", evaluation_id, evaluation.status, evaluation.error)
    return require_about(client.verdict(evaluation_id), subject or subject_of(client, evaluation))


def submitted_verdict(
    client: Client, wanted: wire.NewEvaluation, made: wire.Evaluation, deadline: Deadline
) -> Verdict:
    """Wait for the verdict of an evaluation that was just submitted, and on what was submitted."""
    subject = subject_of(client, made)
    require_submitted(wanted, subject)
    return final_verdict(client, made.id, deadline, subject)


def finished_repair(client: Client, remediation_id: str, deadline: Deadline) -> wire.Remediation:
    """Wait until a repair is made or given up; says why where no checkpoint came out."""
    wait_for_end(client, remediation_id, deadline)
    made = client.remediation(remediation_id)
    if made.child_evaluation is None:
        raise ended_without("repair", remediation_id, made.status, made.error)
    return made


def ended_without(what: str, job_id: str, status: Status, error: str | None) -> HoldfastError:
    """Why a job came to nothing: an error of the caller's where the worker blamed what it was sent.

    The worker writes the error's name before its sentence (workers/tasks.py).
    """
    sentence = f"no {what}: {job_id} ended as {status.value}{f' ({error})' if error else ''}"
    kind = ERRORS.get((error or "").partition(":")[0])
    if kind is not None and issubclass(kind, CallerError):
        return kind(sentence)
    return HarnessError(sentence)


class EventSource:
    """A job's events as an iterator that keeps a deadline, whatever the server does."""

    def __init__(self, client: Client, job_id: str, after: int, deadline: Deadline) -> None:
        """Starts to read at once, after the event of number `after`."""
        self._job_id, self._deadline = job_id, deadline
        self._arrived: queue.SimpleQueue[wire.Event | HoldfastError | None] = queue.SimpleQueue()
        read = threading.Thread(target=self._read, args=(client, after), daemon=True)
        read.start()

    def __iter__(self) -> "EventSource":
        """The events are gone through once."""
        return self

    def __next__(self) -> wire.Event:
        """The next event; the stream's own error where it ended with one."""
        try:
            arrived = self._arrived.get(timeout=self._deadline.remaining())
        except queue.Empty:
            raise gave_up(self._job_id) from None
        if arrived is None:
            raise StopIteration
        if isinstance(arrived, HoldfastError):
            raise arrived
        return arrived

    def _read(self, client: Client, after: int) -> None:
        try:
            for event in client.events(self._job_id, after=after):
                self._arrived.put(event)
        except HoldfastError as error:
            self._arrived.put(error)
        except Exception as error:  # noqa: BLE001  handed to the thread that waits, not swallowed
            self._arrived.put(HarnessError(f"the event stream broke: {error!r}"))
        else:
            self._arrived.put(None)


def gave_up(job_id: str) -> GaveUpWaiting:
    """The error with exit code 5: waiting ended before the job did."""
    return GaveUpWaiting(
        f"NO VERDICT YET: gave up waiting for {job_id}, which runs on; "
        f"go on with `holdfast wait {job_id}`"
    )


def _pause(job_id: str, deadline: Deadline) -> None:
    remaining = deadline.remaining()
    if remaining is not None and remaining < AGAIN_SECONDS:
        raise gave_up(job_id)
    time.sleep(AGAIN_SECONDS)


def no_verdict_yet(options: argparse.Namespace, job: wire.Job) -> int:
    """The loud ending of whoever does not wait."""
    note(f"NO VERDICT YET: {job.id} is {job.status.value}; get it with `holdfast wait {job.id}`")
    emit(options, {"id": job.id, "status": job.status.value, "verdict": None}, job.id)
    return GAVE_UP_WAITING
