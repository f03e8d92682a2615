"""Middleware: the limits of a request, how many are answered at once, and its id, count and time.

Pure ASGI: the body is counted as it streams in, whatever Content-Length says, and never held
beyond the limit. Every reply, also of an error, leaves with HEADERS: nothing that is served here is
a page, and nothing behind a key is for a cache.
"""

import secrets
import time
from collections import Counter

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.errors import Unreachable
from service.metrics import Metrics
from service.problems import HEADERS, problem

MAX_BODY = 1 << 20
REQUESTS_AT_ONCE = 200
STREAMS_AT_ONCE = 1000  # of events; they wait most of the time, and for what is read once for all
STREAM = "text/event-stream"
ALWAYS_ANSWERED = ("/healthz", "/readyz")
NUL = "%00"


class RequestLimit:
    """Reads a request before the application does, and refuses one that it could not take.

    413 beyond MAX_BODY bytes, 422 for a U+0000 in path or query, 503 beyond REQUESTS_AT_ONCE, or
    beyond STREAMS_AT_ONCE for a stream, which takes no other request's place.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self.app = app
        self.answering = Counter[bool]()  # streams, and what is none

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the whole body as one message, or refuse it; what is half sent counts nowhere."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            body = await _read(receive)
        except ClientDisconnect:
            return
        if refused := self._refuse(Request(scope), body):
            await refused(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        streams = is_stream(Request(scope))
        self.answering[streams] += 1
        try:
            await self.app(scope, replay, send)
        finally:
            self.answering[streams] -= 1

    def _refuse(self, request: Request, body: bytes | None) -> Response | None:
        if body is None:
            detail = f"the body is longer than {MAX_BODY} bytes; large files go by path"
            return problem(request, 413, "ContentTooLarge", detail, headers={"Connection": "close"})
        if "\0" in request.scope["path"] or NUL in request.url.query:
            detail = "the path or the query holds a U+0000 (%00), which is no part of any name"
            return problem(request, 422, "InvalidRequest", detail)
        streams = is_stream(request)
        limit = STREAMS_AT_ONCE if streams else REQUESTS_AT_ONCE
        if self.answering[streams] >= limit and request.url.path not in ALWAYS_ANSWERED:
            kind = "streams of events" if streams else "requests"
            detail = f"{limit} {kind} are being answered; try again in a second"
            return problem(request, 503, Unreachable.__name__, detail, headers={"Retry-After": "1"})
        return None


def is_stream(request: Request) -> bool:
    """Whether a stream of events is asked for."""
    accepted = STREAM in request.headers.get("accept", "")
    return accepted and request.url.path.endswith("/events")


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None beyond MAX_BODY, ClientDisconnect where not all of it came."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


class Observed:
    """Gives every request an id and its reply HEADERS, and counts and times it by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an application."""
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the status on its way out."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["request_id"] = secrets.token_hex(8)
        status, started = 500, time.monotonic()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                rate = scope.get("state", {}).get("rate", {})
                headers.update({**HEADERS, **rate, "X-Request-ID": scope["request_id"]})
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self.metrics.count(scope["method"], route, status, time.monotonic() - started)
