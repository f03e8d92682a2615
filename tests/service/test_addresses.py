"""The address in the trail is the connection's, whatever a request says of itself."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI

from holdfast.db.session import reading
from holdfast.projects.audit import all_events
from holdfast.settings import Settings
from tests.service.conftest import MakeKey
from tests.support.fleet import free_port

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def serving(settings: Settings, proxies: str) -> Iterator[str]:
    """`python -m service` as a process of its own; its URL, once it answers."""
    port = free_port()
    environment = {
        "HOLDFAST_HOME": str(settings.home),
        "HOLDFAST_DATABASE_URL": settings.database_url,
        "HOLDFAST_BROKER_URL": settings.broker_url,
        "HOLDFAST_PORT": str(port),
        "HOLDFAST_TRUSTED_PROXIES": proxies,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "service"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url, ends = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(
    ("proxies", "said", "stored"),
    [
        ("", "203.0.113.77", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.77", "203.0.113.77"),
        ("127.0.0.1", "evil <b>name</b> " + "x" * 300, None),
        ("198.51.100.1", "203.0.113.77", "127.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_is_believed_and_only_an_address_is_kept(
    app: FastAPI,
    settings: Settings,
    make_key: MakeKey,
    proxies: str,
    said: str,
    stored: str | None,
) -> None:
    key = make_key("admin")
    with serving(settings, proxies) as url:
        made = httpx.post(
            f"{url}/v1/keys",
            json={"name": "n", "roles": ["read"]},
            headers={**key, "X-Forwarded-For": said},
        )
    assert made.status_code == 201
    with reading(app.state.database) as session:
        (event,) = [
            event for event in all_events(session, "demo") if event["action"] == "key.create"
        ]
    assert event["address"] == stored
