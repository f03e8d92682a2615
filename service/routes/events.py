"""Events of a job: a stream that resumes where it was cut, or the same as pages to poll.

The stream is server-sent events. It ends when the job has ended, when its key is revoked or has
expired, or after 15 minutes, so that deploys and proxies need not wait; the client comes back with
Last-Event-ID.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from sqlalchemy import Engine

from holdfast.api import wire
from holdfast.db.evaluations import events_after, get_job
from holdfast.db.keys import Caller
from holdfast.db.session import reading
from holdfast.errors import NotFound, Unauthorized
from holdfast.job import FINISHED, Status
from service import schemas
from service.deps import Credentials, Database, Limit, Reader, key_owner
from service.problems import raises
from service.routes.listening import Listening, ListeningDep

router = APIRouter(tags=["events"])

STREAM = "text/event-stream"
POLL_SECONDS = 0.5
KEY_SECONDS = 5.0  # how long a stream may go on after its key has ended
PING_SECONDS = 15.0
LONGEST_SECONDS = 15 * 60.0
RECONNECT_MILLISECONDS = 3000
POLL_AGAIN_SECONDS = 2
NEWEST = 2**31 - 1

EventNumber = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=NEWEST)]
After = Annotated[int, Query(ge=0, le=NEWEST, description="The last `seq` that was seen.")]
CachedTag = Annotated[str | None, Header(max_length=200)]

RESPONSES = {
    **raises(NotFound),
    200: {"content": {STREAM: {"schema": {"type": "string"}}}, "model": wire.Page[wire.Event]},
    204: {"description": "A stream that was resumed at its end: do not come back."},
    304: {"description": "Nothing new since the ETag in If-None-Match."},
}


@router.get("/v1/evaluations/{job_id:id}/events", responses=RESPONSES, response_model=None)
@router.get("/v1/remediations/{job_id:id}/events", responses=RESPONSES, response_model=None)
def events(
    job_id: str,
    request: Request,
    caller: Reader,
    database: Database,
    credentials: Credentials,
    listening: ListeningDep,
    cursor: After = 0,
    limit: Limit = 100,
    last_event_id: EventNumber = None,
    if_none_match: CachedTag = None,
) -> Response:
    """A job's events, in order: as a stream for `Accept: text/event-stream`, else as a page."""
    after = cursor if last_event_id is None else last_event_id
    ended, new_events = look(database, caller.project, job_id, after, limit + 1)
    if STREAM in request.headers.get("accept", ""):
        if ended and not new_events:
            return Response(status_code=204)
        key_holds = partial(holds, partial(key_owner, request, database, credentials))
        read_after = partial(look, database, caller.project, job_id, limit=200)
        asking = Asking(listening, caller.key_id, job_id, key_holds, read_after)
        return stream_response(stream(asking, after))
    return events_page(new_events, limit, after, ended=ended, client_tag=if_none_match)


def look(
    database: Engine, project: str, job_id: str, after: int, limit: int
) -> tuple[bool, list[wire.Event]]:
    """Whether the job has ended, and its events after a number. The end is read first."""
    with reading(database) as session:
        ended = Status(get_job(session, job_id, project=project).status) in FINISHED
        return ended, [
            schemas.event(row) for row in events_after(session, job_id, after, limit=limit)
        ]


def events_page(
    new_events: list[wire.Event], limit: int, after: int, *, ended: bool, client_tag: str | None
) -> Response:
    """One page; 304 where the ETag says that nothing came since."""
    shown = new_events[:limit]
    last = shown[-1].seq if shown else after
    headers = {"ETag": f'"{last}-{int(ended)}"'}
    if not ended:
        headers["Retry-After"] = str(POLL_AGAIN_SECONDS)
    if client_tag == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    page = wire.Page[wire.Event](
        data=tuple(shown),
        next_cursor=str(last) if len(new_events) > limit else None,
        has_more=len(new_events) > limit,
    )
    return Response(page.model_dump_json(), media_type="application/json", headers=headers)


def stream_response(chunks: AsyncIterator[bytes]) -> Response:
    """A streaming reply that proxies pass on at once."""
    return EventSourceResponse(chunks, headers={"X-Accel-Buffering": "no"})


def holds(identify_again: Callable[[], Caller]) -> bool:
    """Whether the key that a stream was opened with is still good."""
    try:
        identify_again()
    except Unauthorized:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Asking:
    """The questions of one stream, shared with all others of its job and of its key."""

    listening: Listening
    key_id: str
    job_id: str
    key_holds: Callable[[], bool]
    read_after: Callable[[int], tuple[bool, list[wire.Event]]]

    async def holds(self) -> bool:
        """Whether the key still does, as of a few seconds ago."""
        return await self.listening.shared(("key", self.key_id), KEY_SECONDS, self.key_holds)

    async def new_events(self, after: int) -> tuple[bool, list[wire.Event]]:
        """Whether the job has ended, and its events after a number."""
        newest = await self.listening.newest(self.job_id, POLL_SECONDS / 2)
        if newest is not None and newest.seq <= after and not newest.ended:
            return False, []
        what = ("events", self.job_id, after, newest)
        return await self.listening.shared(what, POLL_SECONDS / 2, partial(self.read_after, after))


async def stream(asking: Asking, after: int) -> AsyncIterator[bytes]:
    """Events as they are written, a comment in long silences, until job or key have ended."""
    with asking.listening.to(asking.job_id):
        async for chunk in _chunks(asking, after):
            yield chunk


async def _chunks(asking: Asking, after: int) -> AsyncIterator[bytes]:
    started = spoken = time.monotonic()
    yield format_sse_event(retry=RECONNECT_MILLISECONDS)
    while time.monotonic() - started < LONGEST_SECONDS:
        if not await asking.holds():
            return
        ended, new_events = await asking.new_events(after)
        for event in new_events:
            after = event.seq
            yield format_sse_event(
                data_str=event.model_dump_json(), event=event.kind, id=str(event.seq)
            )
        if ended and not new_events:
            return
        if new_events:
            spoken = time.monotonic()
        elif time.monotonic() - spoken > PING_SECONDS:
            spoken = time.monotonic()
            yield KEEPALIVE_COMMENT
        if not new_events:
            await asyncio.sleep(POLL_SECONDS)
