"""One connection pool to a server: what is sent, sent again, and understood of the replies.

A problem reply becomes the error class that the service raised, by its title; whatever keeps an
answer from coming becomes Unreachable. Only what is safe to send twice is sent again: reads, and
POSTs because each carries an Idempotency-Key of its own. A proxy from the environment is not used
for addresses of this machine.
"""

import logging
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import count
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from holdfast import errors
from holdfast.api import wire
from holdfast.api.replies import as_error, worth_another_try
from holdfast.retries import Backoff, send_with_retries

log = logging.getLogger(__name__)

BACKOFF = Backoff(tries=4, first_pause=0.25, longest_pause=8.0)
ONCE = replace(BACKOFF, tries=1)
TIMEOUT = httpx.Timeout(10.0, read=60.0)  # hashing a checkpoint happens inside the request
STREAM_TIMEOUT = httpx.Timeout(10.0, read=45.0)  # the server says something every 15 s
LOCAL = {"127.0.0.1", "::1", "localhost"}

_Reply = TypeVar("_Reply", bound=BaseModel)
_Entry = TypeVar("_Entry")


def patient(seconds: float) -> Backoff:
    """The usual tries, and as many more as their pauses fit into so many seconds."""
    tries, paused = BACKOFF.tries, sum(map(BACKOFF.pause, range(1, BACKOFF.tries)))
    while paused < seconds:
        paused += BACKOFF.pause(tries)
        tries += 1
    return replace(BACKOFF, tries=tries)


def worth_while() -> Callable[[httpx.Response], bool]:
    """Whether a reply is worth another try: one that asks for fewer requests, the usual ones only.

    A queue that is full is no server that is being started again.
    """
    replies = count(1)

    def worth(reply: httpx.Response) -> bool:
        full = reply.status_code == errors.QueueFull.status and next(replies) >= BACKOFF.tries
        return worth_another_try(reply) and not full

    return worth


def certificates_for(server: str) -> ssl.SSLContext | bool:
    """The certificates that count: the usual ones, and none where a server is asked without TLS.

    Authorities are read from a file, a tenth of the processor time of a short command.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if server.startswith("http:") else True


class Connection:
    """A server and a key; close it, or use it in a `with`."""

    def __init__(
        self,
        server: str,
        api_key: str | None,
        *,
        transport: httpx.BaseTransport | None = None,
        patience: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`server` is a URL such as http://127.0.0.1:8321.

        `patience` is for how many seconds whatever begins work tries to reach it.
        """
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(
            base_url=server,
            headers={"Accept": "application/json", **headers},
            timeout=TIMEOUT,
            transport=transport,
            trust_env=httpx.URL(server).host not in LOCAL,
            verify=certificates_for(server),
        )
        self._server, self._sleep = server, sleep
        self._patient = patient(patience)

    def __enter__(self) -> Self:
        """The connection itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get(self, kind: type[_Reply], path: str, query: Mapping[str, str] = {}) -> _Reply:
        return _parse_reply(kind, self._send("GET", path, query=query))

    def _pages(self, kind: type[wire.Page[_Entry]], path: str) -> Iterator[_Entry]:
        """The entries of a list that is read from its beginning, page after page."""
        cursor: str | None = "0"
        while cursor is not None:
            page = self._get(kind, path, {"cursor": cursor, "limit": "200"})
            yield from page.data
            cursor = page.next_cursor

    def _post(
        self,
        kind: type[_Reply],
        path: str,
        body: BaseModel | None = None,
        backoff: Backoff = BACKOFF,
    ) -> _Reply:
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        reply = self._send("POST", path, body=body, headers=headers, backoff=backoff)
        return _parse_reply(kind, reply)

    def _put(self, kind: type[_Reply], path: str, body: BaseModel, version: int | None) -> _Reply:
        """Replace what is there if it still has this version (None: nothing is); sent once."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        reply = self._send("PUT", path, body=body, headers=headers, backoff=ONCE)
        return _parse_reply(kind, reply)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = {},
        body: BaseModel | None = None,
        headers: Mapping[str, str] = {},
        backoff: Backoff = BACKOFF,
    ) -> httpx.Response:
        content = body.model_dump_json(exclude_unset=True).encode() if body else None
        sent = {**headers, "Content-Type": "application/json"} if body else dict(headers)
        request = partial(
            self._http.request, method, path, params=dict(query), content=content, headers=sent
        )
        outcome = send_with_retries(request, backoff, worth_while(), self._pausing())
        if isinstance(outcome, httpx.TransportError):
            raise errors.Unreachable(
                f"{self._server} does not answer ({type(outcome).__name__}: {outcome})"
            )
        if not outcome.is_success:
            raise as_error(outcome)
        return outcome

    def _pausing(self) -> Callable[[float], None]:
        """The pause between two tries; one beyond the usual ones is said."""
        pauses = count(1)

        def pause(seconds: float) -> None:
            if next(pauses) == BACKOFF.tries:
                log.warning(
                    "%s does not answer yet; trying on (`holdfast up` starts one here, "
                    "HOLDFAST_SERVER names another, HOLDFAST_PATIENCE_SECONDS says for how long)",
                    self._server,
                )
            self._sleep(seconds)

        return pause

    def _stream(self, path: str, after: int) -> Iterator[wire.Event]:
        headers = {"Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = str(after)
        opened: AbstractContextManager[httpx.Response] = self._http.stream(
            "GET", path, headers=headers, timeout=STREAM_TIMEOUT
        )
        with opened as reply:
            if not reply.is_success:
                reply.read()
                raise as_error(reply)
            for line in reply.iter_lines():
                if line.startswith("data: "):
                    yield wire.Event.model_validate_json(line.removeprefix("data: "))


def _parse_reply(kind: type[_Reply], reply: httpx.Response) -> _Reply:
    try:
        return kind.model_validate_json(reply.content)
    except ValidationError as error:
        problem = errors.first_problem(error, "the reply")
        raise errors.HarnessError(
            f"{reply.url} answered something else than a {kind.__name__}; "
            f"is the server's version another one than ours? ({problem})"
        ) from error
