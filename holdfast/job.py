"""The states of a job and the moves between them that are legal.

A job is an evaluation or a remediation. Its `status` says how far the work is; the verdict is
another field and is never mixed with it: a job that failed has no verdict, a job that succeeded
may well have the verdict `fail`.

    queued ──claim──► running ──► succeeded
      ▲                 │ ├─────► failed        lost or crashed too often, or no retry mends it
      └──lease expired──┘ ├─────► timed_out     past its deadline
           released       └─────► canceled
"""

from enum import StrEnum
from typing import Literal

Tier = Literal["canary", "demo", "standard", "full"]  # how much an evaluation asks
Split = Literal["screen", "confirm"]  # which items: confirm is for repairs, and opened once each
SideName = Literal["baseline", "candidate", "repaired", "anchor"]  # of evidence, rows and events;
# "repaired" is the failing checkpoint that the candidate repairs


class Status(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"


class EventKind(StrEnum):
    """The kinds of a job's events, beside the statuses that it ends in, which are kinds as well."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    REQUEUED = "requeued"
    RETRIED = "retried"
    PROGRESS = "progress"
    NOTE = "note"
    VERDICT = "verdict"
    REMEDIATION_PROPOSED = "remediation_proposed"
    REMEDIATION = "remediation"
    PLAN = "plan"
    STEP = "step"
    TRAINING = "training"
    REPAIRED = "repaired"
    TRY = "try"
    CONFIRM = "confirm"
    ENDED = "ended"


class JobKind(StrEnum):
    """The kind of work of a job; also the prefix family of its id."""

    EVALUATION = "evaluation"
    REMEDIATION = "remediation"


MOVES: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELED, Status.FAILED, Status.TIMED_OUT}),
    Status.RUNNING: frozenset(
        {
            Status.QUEUED,
            Status.SUCCEEDED,
            Status.FAILED,
            Status.CANCELED,
            Status.TIMED_OUT,
        }
    ),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),  # :retry
    Status.CANCELED: frozenset({Status.QUEUED}),
    Status.TIMED_OUT: frozenset({Status.QUEUED}),
}

FINISHED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.TIMED_OUT})

# Defaults of the settings of the same names: a lost worker is noticed within lease + sweep.
LEASE_SECONDS = 30.0
HEARTBEAT_SECONDS = 10.0
SWEEP_SECONDS = 5.0
RESEND_HINT_SECONDS = 15.0
RETRY_SECONDS = 5.0

CANCEL_POLL_SECONDS = 1.0
MAX_ATTEMPTS = 3
DEADLINE_SECONDS = 6 * 3600.0  # from a job's first claim
WAITING_SECONDS = 7 * 24 * 3600.0  # in the queue before it


def may_move(before: Status, after: Status) -> bool:
    """Whether a job may go from one state to another."""
    return after in MOVES[before]
