"""Connections that are closed where a request does not arrive in time, or where there are too many.

uvicorn gives a client that is silent between two requests some seconds, and one that has begun a
request for ever: some hundred half-sent ones would leave no place for anybody else. Here a request
has REQUEST_SECONDS from its connection, or from the reply before it, to its last byte, however
slowly it trickles; and where connections are many the oldest of those that wait for a request
makes room for a new one, so that what answers quickly, such as health, is always answered.
"""

import asyncio
import resource
from itertools import count
from operator import attrgetter

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 30.0  # for a body of 1 MiB over a slow line
MAX_CONNECTIONS = 1500  # STREAMS_AT_ONCE listen, REQUESTS_AT_ONCE work, the others wait
OTHER_FILES = 500  # databases, logs, children

TURNS = count()


def allow_connections() -> None:
    """Let this process open as many files; MAX_CONNECTIONS is fewer where the system allows fewer.

    Most processes begin with a limit of 1024 that they may raise.
    """
    global MAX_CONNECTIONS  # noqa: PLW0603  # one limit of one process
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        MAX_CONNECTIONS = min(MAX_CONNECTIONS, max(soft - OTHER_FILES, soft // 2))


class PromptRequests(H11Protocol):
    """uvicorn's HTTP/1.1, with an end to every wait for a request."""

    waiting: asyncio.TimerHandle | None = None
    turn = 0  # of the wait: a loop's clock has one time for all that come at once

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait; if there are too many, the one that has waited longest goes."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = (
                connection
                for connection in self.connections
                if isinstance(connection, PromptRequests) and connection.waiting is not None
            )
            min(waiting, key=attrgetter("turn")).give_up()

    def give_up(self) -> None:
        """Close it at once; it waits no more, so the next to go is another."""
        self._stop_waiting()
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on; the wait ends with the request's last byte."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:
            self._stop_waiting()
        elif self.waiting is None:
            self.turn = next(TURNS)
            self.waiting = self.loop.call_later(REQUEST_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
