"""One HTTP request, sent again while a later try may succeed.

A connection that breaks, and the statuses that the caller names, are tried again: after the
server's Retry-After where it gives one in seconds, else after pauses that double. What is no use to
send again comes back at once, and the last failure when the tries are used up.
"""

from collections.abc import Callable
from dataclasses import dataclass

import httpx


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often one request is sent, and the pauses between, in seconds."""

    tries: int
    first_pause: float
    longest_pause: float

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number, from 1: doubling, up to the longest."""
        return min(self.first_pause * 2.0 ** (attempt - 1), self.longest_pause)

    def pause_before_retry(self, outcome: httpx.Response | Exception, attempt: int) -> float:
        """The server's Retry-After in seconds, within our longest pause; without one, `pause`."""
        reply = outcome if isinstance(outcome, httpx.Response) else None
        header = reply.headers.get("retry-after", "") if reply is not None else ""
        asked_for = min(float(header), self.longest_pause) if header.isdecimal() else None
        return asked_for or self.pause(attempt)


def send_with_retries(
    send: Callable[[], httpx.Response],
    backoff: Backoff,
    worth_another_try: Callable[[httpx.Response], bool],
    sleep: Callable[[float], None],
) -> httpx.Response | httpx.TransportError:
    """The reply, or why there is none, of the first try that settles it or of the last one."""
    attempt = 1
    while True:
        outcome: httpx.Response | httpx.TransportError
        try:
            outcome = send()
        except httpx.TransportError as error:
            outcome = error
        settled = isinstance(outcome, httpx.Response) and not worth_another_try(outcome)
        if settled or attempt >= backoff.tries:
            return outcome
        sleep(backoff.pause_before_retry(outcome, attempt))
        attempt += 1
