"""Every error Holdfast raises on purpose, and who is at fault.

    HoldfastError
    ├── CallerError            the request, file or checkpoint is wrong; never retried; exit 2
    │   ├── InvalidPolicy
    │   ├── UnknownProbe
    │   ├── InvalidEvidence
    │   ├── InvalidSuite
    │   ├── InvalidTaskData
    │   ├── TaskRefused
    │   ├── InvalidLabels
    │   ├── InvalidPlan
    │   ├── RepairImpossible   carried out as planned, it comes to nothing, however often
    │   ├── InvalidSettings
    │   ├── CheckpointRefused
    │   ├── NotBuilt           named in the design, not available in this version
    │   ├── Unauthorized       401
    │   ├── Forbidden          403
    │   ├── NotFound           404
    │   ├── Conflict           409
    │   │   ├── StaleVersion   412
    │   │   └── InFlight       its twin is still at work
    │   └── IdempotencyMismatch 422
    ├── Transient              the world was unwell; the job goes back to the queue
    │   ├── LeaseLost          another worker holds the job now, or it was canceled
    │   ├── Unreachable        server, broker or database did not answer
    │   ├── DiskFull           what was to be written found no room; the job waits for some
    │   ├── CheckpointTouched  its files were written while they were in use, to the same content
    │   ├── QueueFull          429
    │   └── RateLimited        429
    └── HarnessError           our fault or the machine's; the job fails, its verdict stays null
        ├── EngineFailed
        ├── MachineUnfit       too little memory or disk, or a package is missing; not tried again
        ├── JudgeFailed
        ├── TrainingFailed
        └── AuditBroken

"Cannot tell" is not an error: it is the verdict `inconclusive` or the outcome `unscored`.
A message says what was found, what was expected, and what to do. Errors cross processes, so they
take one positional message and stay picklable. A new class goes into the tree above, names its
HTTP status where it is not its parent's, and needs nothing else.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class HoldfastError(Exception):
    """Root of all errors raised on purpose; `exit_code` is the CLI's, `status` the HTTP reply's.

    `retry_after`, in seconds, is set where the same request may well succeed a little later.
    """

    exit_code = 4
    status = 500
    retry_after: int | None = None

    @property
    def title(self) -> str:
        """Short name for problem replies and logs."""
        return type(self).__name__


# --- the caller's ---------------------------------------------------------------------------


class CallerError(HoldfastError, ValueError):
    """The request cannot be used as it is; sending it again will not help."""

    exit_code = 2
    status = 422


class InvalidPolicy(CallerError):
    """The policy is not one that can decide anything."""


class UnknownProbe(CallerError):
    """No probe has this name, or it takes no suite by name."""


class InvalidEvidence(CallerError):
    """An evidence file is missing, damaged or contradicts itself."""


class InvalidSuite(CallerError):
    """A suite file is damaged, or its digest is not the one expected."""


class InvalidTaskData(CallerError):
    """The task file is not JSON Lines of non-empty prompts and completions."""


class TaskRefused(CallerError):
    """A task of lm-evaluation-harness is unknown, does not load, or asks what cannot be asked."""


class InvalidLabels(CallerError):
    """A file of labelled answers is not JSON Lines of prompt, completion and label."""


class InvalidPlan(CallerError):
    """A training plan asks for something that no recipe does."""


class RepairImpossible(CallerError):
    """The plan was carried out and comes to no checkpoint; the same plan would again."""


class InvalidSettings(CallerError):
    """A HOLDFAST_* variable holds a value that cannot be used."""


class CheckpointRefused(CallerError):
    """The checkpoint is absent, outside the allowed roots, damaged or could run code."""


class NotBuilt(CallerError):
    """Known by name, but not available in this version; it is never approximated."""


class Unauthorized(CallerError):
    """No key, or one that is unknown, expired or revoked."""

    exit_code = 4
    status = 401


class Forbidden(CallerError):
    """The key is good, but lacks the scope or the project."""

    exit_code = 4
    status = 403


class NotFound(CallerError):
    """No such thing in this project."""

    status = 404


class Conflict(CallerError):
    """The thing exists in a state that does not allow this."""

    status = 409


class InFlight(Conflict):
    """A request with the same Idempotency-Key is still at work; wait for it.

    A client's usual tries, so far apart, outlast the claim of a server that died.
    """

    retry_after = 4


class StaleVersion(Conflict):
    """The thing moved since it was read; read it again and decide anew."""

    status = 412


class IdempotencyMismatch(CallerError):
    """The Idempotency-Key was used before with another body."""


# --- the world's ----------------------------------------------------------------------------


class Transient(HoldfastError):
    """Worth another try, without a change by anybody."""

    status = 503
    retry_after = 2


class LeaseLost(Transient):
    """This worker no longer holds the job; whatever it computed beyond the last save is void."""


class Unreachable(Transient):
    """A server, broker or database did not answer in time."""


class ForgeRefused(HoldfastError):
    """A forge (GitHub, GitLab) did not take what was to be posted; `reply` is its HTTP status."""

    def __init__(self, sentence: str, reply: int | None = None) -> None:
        super().__init__(sentence)
        self.reply = reply


class DiskFull(Transient):
    """A disk, or a quota of it, took no more; the job goes on once there is room."""

    exit_code = 4


class CheckpointTouched(Transient):
    """Files of a checkpoint were touched while they were in use; what was computed is not kept."""


class QueueFull(Transient):
    """The project has as many unfinished jobs as it may; one has to end first."""

    status = 429
    retry_after = 30


class RateLimited(Transient):
    """More requests than a key, its project or an address may make in a minute."""

    status = 429
    retry_after = 60


# --- ours -----------------------------------------------------------------------------------


class HarnessError(HoldfastError):
    """Holdfast could not do its work; says nothing about the checkpoint."""


class EngineFailed(HarnessError):
    """The inference engine died or answered out of contract."""


class MachineUnfit(HarnessError):
    """The machine lacks memory, disk space or a package; another try here meets the same lack."""


class JudgeFailed(HarnessError):
    """A judge's endpoint is set up wrongly; no answer of this run can be judged."""


class TrainingFailed(HarnessError):
    """A training child ended without a complete checkpoint."""


class AuditBroken(HarnessError):
    """The audit trail is not what was written: an event was changed, removed, moved or cut off."""


# --- errors as text -------------------------------------------------------------------------


ERRORS: dict[str, type[HoldfastError]] = {
    name: kind
    for name, kind in list(globals().items())
    if isinstance(kind, type) and issubclass(kind, HoldfastError)
}
"""The classes above by name, as processes and servers tell each other what happened."""


def first_problem(error: "ValidationError", document: str) -> str:
    """A pydantic error's first problem, as `field: message`; `document` where it is about all."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or document
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place}"
    return f"{place}: {problem['msg']}"
