"""Five hundred listeners of one process: each hears everything, and they take nobody's place."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from holdfast.db import jobs
from holdfast.db.session import transaction
from holdfast.job import EventKind, Status
from holdfast.settings import Settings
from service import limits
from tests.service.conftest import MakeKey
from tests.service.test_connections import serving
from tests.support.service_process import service_process

LISTENERS = 500
PATIENCE = 60.0
ANSWER_SECONDS = 5.0  # beside five hundred others, on a loaded machine


def listen(address: tuple[str, int], path: str, key: dict[str, str]) -> socket.socket:
    """A connection on which a stream was asked for."""
    connection = socket.create_connection(address, timeout=PATIENCE)
    lines = [f"GET {path} HTTP/1.1", "Host: a", "Accept: text/event-stream"]
    lines += [f"{name}: {value}" for name, value in key.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def heard(connection: socket.socket, word: bytes) -> bytes:
    """All that was said up to a word."""
    text = b""
    while word not in text:
        part = connection.recv(65536)
        assert part, f"it was closed before {word!r}, after {text[-200:]!r}"
        text += part
    return text


@contextmanager
def listeners(
    address: tuple[str, int], path: str, key: dict[str, str]
) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = [
            stack.enter_context(closing(listen(address, path, key))) for _ in range(LISTENERS)
        ]
        for connection in opened:
            assert b" 200 " in heard(connection, b"retry:")
        yield opened


def test_health_and_a_submission_are_answered_beside_them(
    app: FastAPI, settings: Settings, api: TestClient, body: dict[str, Any], make_key: MakeKey
) -> None:
    path = f"{api.post('/v1/evaluations', json=body).headers['Location']}/events"
    key = make_key("jobs:read", "jobs:write")
    with socket.create_server(("127.0.0.1", 0)) as bound, service_process(settings, bound):
        address = bound.getsockname()
        url = "http://{}:{}".format(*address)
        with listeners(address, path, key) as opened:
            with httpx.Client(base_url=url, headers=key, trust_env=False) as client:
                client.timeout = httpx.Timeout(ANSWER_SECONDS)
                assert client.get("/healthz").json() == {"status": "alive"}
                assert client.get("/readyz").status_code == 200
                other = client.post("/v1/evaluations", json={**body, "tier": "full"})
                assert other.status_code == 202
            with transaction(app.state.database) as session:
                lease = jobs.claim(session, queue="cpu", owner="w")
                assert lease is not None
                jobs.add_event(session, lease.job_id, EventKind.PROGRESS, {"done": 1})
                jobs.finish(session, lease, Status.SUCCEEDED)
            for connection in opened:
                assert b'"done":1' in heard(connection, b"event: succeeded")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_listener_too_many_is_asked_to_come_again_and_others_are_answered(
    app: FastAPI,
    api: TestClient,
    body: dict[str, Any],
    make_key: MakeKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "STREAMS_AT_ONCE", 2)
    monkeypatch.setattr(limits, "REQUESTS_AT_ONCE", 1)
    path = f"{api.post('/v1/evaluations', json=body).headers['Location']}/events"
    key = make_key("jobs:read")
    with serving(app) as address, ExitStack() as stack:
        for _ in range(2):
            opened = stack.enter_context(closing(listen(address, path, key)))
            heard(opened, b"event: queued")
        url = "http://{}:{}".format(*address)
        refused = httpx.get(
            url + path, headers={**key, "Accept": "text/event-stream"}, trust_env=False
        )
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert httpx.get(url + path, headers=key, trust_env=False).status_code == 200
        assert httpx.get(url + "/healthz", trust_env=False).status_code == 200
