"""Failing HTTP replies of the service: which error to raise, and whether to try again.

A problem reply becomes the error class that the service raised, by its title; a reply that is no
problem of ours is Unreachable, since then something else than Holdfast answered.
"""

import httpx
from pydantic import ValidationError

from holdfast import errors
from holdfast.api import wire

WORTH_ANOTHER_TRY = {429, 502, 503, 504}


def worth_another_try(reply: httpx.Response) -> bool:
    """Whether the same request may succeed a little later."""
    in_flight = reply.status_code == errors.Conflict.status and "retry-after" in reply.headers
    return reply.status_code in WORTH_ANOTHER_TRY or in_flight


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
