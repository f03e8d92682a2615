"""The same POST twice: one effect, one answer (`holdfast.db.replies` has the protocol).

Every route that POSTs takes its session from here. With an Idempotency-Key the reply is written in
the session's own transaction, just before it commits: `KeptRoute` is what makes the finished reply
known that early.
"""

import hashlib
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from holdfast.db.keys import Caller
from holdfast.db.replies import Claim, Reply, claim_key, drop_claim, keep_reply, renewing
from holdfast.db.session import keep_rows, transaction
from service.deps import Database, identify

REPLAYED_HEADERS = ("location", "content-type", "etag")
SHOWN_ONCE = "token"  # a secret in a reply; it is not kept, so a replay does not show it again


class KeptRoute(APIRoute):
    """A route whose reply the dependencies can read before they end."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler, and a note of what it answered."""
        handle = super().get_route_handler()

        async def handle_and_note(request: Request) -> Response:
            response = await handle(request)
            request.state.response = response
            return response

        return handle_and_note


def _to_keep(response: Response) -> Reply:
    headers = {
        name: response.headers[name] for name in REPLAYED_HEADERS if name in response.headers
    }
    body = json.loads(bytes(response.body))
    if SHOWN_ONCE in body:
        body[SHOWN_ONCE] = None
    return Reply(response.status_code, headers, json.dumps(body))


async def _fingerprint(request: Request) -> str:
    """A digest of method, path and body, the same for the same JSON in another layout."""
    body = await request.body()
    try:
        canonical = json.dumps(json.loads(body), sort_keys=True).encode()
    except (ValueError, RecursionError):
        canonical = body  # not JSON: the route will refuse it, or needs none
    request_bytes = b"\n".join([request.method.encode(), request.url.path.encode(), canonical])
    return hashlib.sha256(request_bytes).hexdigest()


IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="The same key and body again within 24 h gets the first reply again.",
    ),
]


class Replayed(Exception):
    """Not an error: the reply exists already."""

    def __init__(self, reply: Reply) -> None:
        """Carries the reply to the handler that sends it."""
        super().__init__("replayed")
        self.reply = reply


def _post_session(
    request: Request,
    database: Database,
    caller: Annotated[Caller, Depends(identify)],
    fingerprint: Annotated[str, Depends(_fingerprint)],
    idempotency_key: IdempotencyKey = None,
) -> Iterator[Session]:
    """A write session of a POST; with an Idempotency-Key its reply commits with its effect.

    Idempotency-Keys are the API key's own: nobody else's reply is replayed, nor a key occupied.
    """
    if idempotency_key is None:
        with transaction(database) as session:
            keep_rows(session)
            yield session
        return
    own_key = hashlib.sha256(f"{caller.key_id}/{idempotency_key}".encode()).hexdigest()
    with transaction(database) as session:
        claimed = claim_key(session, caller.project, own_key, fingerprint)
    if isinstance(claimed, Reply):
        raise Replayed(claimed)
    yield from _claimed_session(request, database, claimed)


def _claimed_session(request: Request, database: Engine, claim: Claim) -> Iterator[Session]:
    is_stored = False
    try:
        with renewing(database, claim), transaction(database) as session:
            keep_rows(session)
            yield session
            keep_reply(session, claim, _to_keep(request.state.response))
        is_stored = True
    finally:
        if not is_stored:
            with transaction(database) as session:
                drop_claim(session, claim)


Posting = Annotated[Session, Depends(_post_session, scope="function")]


def on_replayed(_request: Request, replayed: Exception) -> Response:
    """Send the reply that the first request got."""
    if not isinstance(replayed, Replayed):
        raise replayed
    headers = {**replayed.reply.headers, "Idempotency-Replayed": "true"}
    return Response(replayed.reply.body, replayed.reply.status, headers=headers)
