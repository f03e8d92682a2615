"""Events: a page to poll, and a stream that goes on where it was cut."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from holdfast.db import jobs
from holdfast.db.keys import revoke_key
from holdfast.db.session import reading, transaction
from holdfast.db.tables import ApiKey
from holdfast.job import EventKind, Status
from service.routes import events
from tests.service.test_connections import serving

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def path(api: TestClient, body: dict[str, Any]) -> str:
    """The events of an evaluation that a worker has claimed and told two things about."""
    return f"{api.post('/v1/evaluations', json=body).headers['Location']}/events"


def work(app: FastAPI, *, finish: bool) -> None:
    with transaction(app.state.database) as session:
        lease = jobs.claim(session, queue="cpu", owner="w")
        assert lease is not None
        for done in (1, 2):
            jobs.add_event(session, lease.job_id, EventKind.PROGRESS, {"done": done})
        if finish:
            jobs.finish(session, lease, Status.SUCCEEDED)


def parsed(text: str) -> list[dict[str, Any]]:
    """The events of a stream, each checked to agree with its own frame."""
    found = []
    for frame in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
        if "data" in fields:
            event = json.loads(fields["data"])
            assert (fields["id"], fields["event"]) == (str(event["seq"]), event["kind"])
            found.append(event)
    return found


def test_a_stream_ends_with_its_job(app: FastAPI, api: TestClient, path: str) -> None:
    work(app, finish=True)
    reply = api.get(path, headers=STREAM)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.text.startswith("retry: 3000\n")
    kinds = [event["kind"] for event in parsed(reply.text)]
    assert kinds == ["queued", "claimed", "progress", "progress", "succeeded"]


def test_a_stream_resumes_after_the_last_event(app: FastAPI, api: TestClient, path: str) -> None:
    work(app, finish=True)
    all_of_it = parsed(api.get(path, headers=STREAM).text)
    for cut in range(len(all_of_it) - 1):
        seen = {**STREAM, "Last-Event-ID": str(all_of_it[cut]["seq"])}
        assert parsed(api.get(path, headers=seen).text) == all_of_it[cut + 1 :]
    at_the_end = {**STREAM, "Last-Event-ID": str(all_of_it[-1]["seq"])}
    assert api.get(path, headers=at_the_end).status_code == 204  # browsers then stay away
    for foreign in ("x", "-1", "99999999999999999999"):
        assert api.get(path, headers={**STREAM, "Last-Event-ID": foreign}).status_code == 422


def test_a_long_stream_lets_go(
    app: FastAPI, api: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST_SECONDS", 0.5)
    monkeypatch.setattr(events, "PING_SECONDS", 0.0)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.05)
    work(app, finish=False)
    reply = api.get(path, headers=STREAM)
    assert len(parsed(reply.text)) == 4
    assert ": ping" in reply.text


def revoke(app: FastAPI, key: ApiKey) -> None:
    with transaction(app.state.database) as session:
        revoke_key(session, key.project, key.id)


def expire(app: FastAPI, key: ApiKey) -> None:
    with transaction(app.state.database) as session:
        session.get_one(ApiKey, key.id).expires_at = datetime.now(UTC)


@pytest.mark.parametrize("end", [revoke, expire])
def test_a_stream_ends_with_its_key(
    app: FastAPI,
    path: str,
    make_key: Any,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[FastAPI, ApiKey], None],
) -> None:
    """Its job goes on, so nothing else would end it within a quarter of an hour."""
    monkeypatch.setattr(events, "KEY_SECONDS", 0.1)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(events, "PING_SECONDS", 0.2)
    headers = make_key("jobs:read") | STREAM
    with reading(app.state.database) as session:
        key = session.scalars(select(ApiKey).order_by(ApiKey.id.desc()).limit(1)).one()
    with (
        serving(app) as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", timeout=30, trust_env=False) as client,
    ):
        with client.stream("GET", path, headers=headers) as reply:
            chunks = reply.iter_text()
            assert "retry:" in next(chunks)
            work(app, finish=False)
            while '"done":2' not in next(chunks):
                pass
            end(app, key)
            deadline = time.monotonic() + 30
            for comment in chunks:
                assert comment.startswith(":")
                assert time.monotonic() < deadline
        assert client.get(path, headers=headers).status_code == 401


def test_polling(app: FastAPI, api: TestClient, path: str) -> None:
    work(app, finish=False)
    first = api.get(path, params={"limit": 3})
    assert (len(first.json()["data"]), first.json()["has_more"]) == (3, True)
    rest = api.get(path, params={"cursor": first.json()["next_cursor"]})
    assert [event["kind"] for event in rest.json()["data"]] == ["progress"]
    assert rest.headers["retry-after"] == "2"
    nothing = {"cursor": rest.json()["data"][-1]["seq"]}
    empty = api.get(path, params=nothing)
    unchanged = api.get(path, params=nothing, headers={"If-None-Match": empty.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    with transaction(app.state.database) as session:
        jobs.add_event(session, path.split("/")[3], EventKind.PROGRESS, {"done": 3})
    changed = api.get(path, params=nothing, headers={"If-None-Match": empty.headers["etag"]})
    assert len(changed.json()["data"]) == 1
