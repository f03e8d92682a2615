"""Failing HTTP replies of the service: which error to raise, and whether to try again.

A problem reply becomes the error class that the service raised, by its title; a reply that is no
problem of ours is Unreachable, since then something else than Holdfast answered.
"""

import httpx
from pydantic import ValidationError

from holdfast import errors
from holdfast.api import wire

BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF_SECONDS = 8.0
WORTH_ANOTHER_TRY = {429, 502, 503, 504}


def backoff(attempt: int) -> float:
    """Seconds to wait after the attempt of this number, from 1: doubling, up to 8 s."""
    return min(BACKOFF_SECONDS * 2.0 ** (attempt - 1), LONGEST_BACKOFF_SECONDS)


def worth_another_try(reply: httpx.Response) -> bool:
    """Whether the same request may succeed a little later."""
    in_flight = reply.status_code == errors.Conflict.status and "retry-after" in reply.headers
    return reply.status_code in WORTH_ANOTHER_TRY or in_flight


def retry_after(reply: httpx.Response) -> float | None:
    """Seconds that the server asks us to wait, within our own limit."""
    header = reply.headers.get("retry-after", "")
    return min(float(header), LONGEST_BACKOFF_SECONDS) if header.isdigit() else None


def as_error(reply: httpx.Response) -> errors.HoldfastError:
    """The error that the service raised; a reply that is no problem of ours is Unreachable."""
    try:
        problem = wire.Problem.model_validate_json(reply.content)
    except ValidationError:
        return errors.Unreachable(
            f"{reply.url} answered {reply.status_code} with something that is not from Holdfast; "
            "is the address right, or is a proxy in between?"
        )
    text = "; ".join((problem.detail, *problem.errors))
    kind = errors.ERRORS.get(problem.title)
    if kind is not None:
        return kind(text)
    fallback = errors.CallerError if 400 <= problem.status < 500 else errors.HarnessError
    return fallback(f"{text} (request {problem.request_id})")
