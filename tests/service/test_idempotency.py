import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from holdfast.api.connection import BACKOFF
from holdfast.db import replies
from holdfast.db.jobs import now
from holdfast.db.session import reading, transaction
from holdfast.db.tables import IdempotentReply
from holdfast.errors import Conflict, InFlight
from holdfast.settings import Settings
from tests.service.conftest import MakeKey
from tests.support.fleet import eventually
from tests.support.service_process import service_process

KEY = {"Idempotency-Key": "build-42"}
PATIENCE = 60.0


def test_the_same_request_has_one_effect(api: TestClient, body: dict[str, Any]) -> None:
    first = api.post("/v1/evaluations", json=body, headers=KEY)
    reordered = dict(reversed(body.items()))
    again = api.post("/v1/evaluations", json=reordered, headers=KEY)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(api.get("/v1/evaluations").json()["data"]) == 1


def test_another_body_or_route_is_refused(api: TestClient, body: dict[str, Any]) -> None:
    made = api.post("/v1/evaluations", json=body, headers=KEY).json()
    for path, other in [
        ("/v1/evaluations", {**body, "tier": "full"}),
        (f"/v1/evaluations/{made['id']}:cancel", None),
    ]:
        reply = api.post(path, json=other, headers=KEY)
        assert (reply.status_code, reply.json()["title"]) == (422, "IdempotencyMismatch")


def test_keys_of_projects_do_not_meet(api: TestClient, body: dict[str, Any], make_key: Any) -> None:
    mine = api.post("/v1/evaluations", json=body, headers=KEY).json()
    headers = {**KEY, **make_key("jobs:write", project="other")}
    theirs = api.post("/v1/evaluations", json=body, headers=headers)
    assert theirs.status_code == 202
    assert theirs.json()["id"] != mine["id"]


def test_a_refused_request_may_be_mended(api: TestClient, body: dict[str, Any]) -> None:
    assert api.post("/v1/evaluations", json={**body, "tier": "x"}, headers=KEY).status_code == 422
    assert api.post("/v1/evaluations", json={**body, "policy": "x"}, headers=KEY).status_code == 422
    assert api.post("/v1/evaluations", json=body, headers=KEY).status_code == 202


def test_in_flight_is_409_until_it_is_given_up(
    app: FastAPI, api: TestClient, body: dict[str, Any]
) -> None:
    """As after a crash between the claim and the commit."""
    reply = api.post("/v1/evaluations", json=body, headers=KEY)
    with transaction(app.state.database) as session:
        session.execute(update(IdempotentReply).values(status=None, body=None))
    early = api.post("/v1/evaluations", json=body, headers=KEY)
    assert (early.status_code, early.json()["title"]) == (409, "InFlight")
    assert int(early.headers["Retry-After"]) >= 1
    with transaction(app.state.database) as session:
        old = now(session) - replies.IN_FLIGHT - timedelta(seconds=1)
        session.execute(update(IdempotentReply).values(created_at=old))
    late = api.post("/v1/evaluations", json=body, headers=KEY)
    assert late.status_code == 202
    assert late.json()["id"] != reply.json()["id"]


def test_forgotten_after_a_day(app: FastAPI, api: TestClient, body: dict[str, Any]) -> None:
    first = api.post("/v1/evaluations", json=body, headers=KEY).json()
    with transaction(app.state.database) as session:
        old = now(session) - replies.LIFETIME - timedelta(seconds=1)
        session.execute(update(IdempotentReply).values(created_at=old))
    other = {**body, "tier": "full"}
    second = api.post("/v1/evaluations", json=other, headers=KEY)
    assert second.status_code == 202
    assert second.json()["id"] != first["id"]
    with transaction(app.state.database) as session:
        session.execute(update(IdempotentReply).values(created_at=old))
        replies.forget_old(session)
        assert session.scalars(select(IdempotentReply)).all() == []


def test_an_overtaken_request_changes_nothing(app: FastAPI) -> None:
    with transaction(app.state.database) as session:
        slow = replies.claim_key(session, "demo", "k", "f")
    with transaction(app.state.database) as session:
        old = now(session) - replies.IN_FLIGHT - timedelta(seconds=1)
        session.execute(update(IdempotentReply).values(created_at=old))
        fast = replies.claim_key(session, "demo", "k", "f")
    assert isinstance(slow, replies.Claim)
    assert isinstance(fast, replies.Claim)
    with (
        pytest.raises(Conflict, match="changed nothing"),
        transaction(app.state.database) as session,
    ):
        replies.keep_reply(session, slow, replies.Reply(202, {}, "{}"))
    with transaction(app.state.database) as session:
        replies.drop_claim(session, slow)
        replies.keep_reply(session, fast, replies.Reply(202, {}, "{}"))


def test_twins_at_once_have_one_effect(api: TestClient, body: dict[str, Any]) -> None:
    with ThreadPoolExecutor(8) as pool:
        posts = [pool.submit(api.post, "/v1/evaluations", json=body, headers=KEY) for _ in range(8)]
    statuses = sorted(post.result().status_code for post in posts)
    assert 202 in statuses
    assert set(statuses) <= {202, 409}
    assert len(api.get("/v1/evaluations").json()["data"]) == 1


def test_a_key_is_shown_once_even_so(app: FastAPI, api: TestClient) -> None:
    wanted = {"name": "ci", "scopes": ["jobs:write"]}
    first = api.post("/v1/keys", json=wanted, headers=KEY).json()
    again = api.post("/v1/keys", json=wanted, headers=KEY).json()
    assert first["token"].startswith("holdfast_live_")
    assert again == {**first, "token": None}
    with reading(app.state.database) as session:
        kept = session.scalars(select(IdempotentReply.body)).one()
    assert first["token"] not in str(kept)


def test_every_post_takes_a_key(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        if "post" in operations:
            names = [one["name"].lower() for one in operations["post"]["parameters"]]
            assert "idempotency-key" in names, path


def test_an_idempotency_key_is_the_api_keys_own(
    api: TestClient, body: dict[str, Any], make_key: MakeKey
) -> None:
    first = api.post("/v1/evaluations", json=body, headers=KEY).json()
    other = make_key("jobs:read", "jobs:write")
    theirs = api.post("/v1/evaluations", json=body, headers={**KEY, **other})
    assert theirs.status_code == 202
    assert theirs.json()["id"] != first["id"]
    assert "Idempotency-Replayed" not in theirs.headers


def test_the_key_of_a_request_whose_server_died_is_free_within_seconds(
    app: FastAPI, settings: Settings, body: dict[str, Any], make_key: MakeKey
) -> None:
    headers = {**KEY, **make_key("jobs:read", "jobs:write")}

    def is_at_work() -> bool:
        with reading(app.state.database) as session:
            return session.scalar(select(IdempotentReply.status.is_(None))) is True

    with socket.create_server(("127.0.0.1", 0)) as bound, ThreadPoolExecutor(1) as thread:
        url = "http://{}:{}/v1/evaluations".format(*bound.getsockname())

        def post() -> httpx.Response:
            return httpx.post(url, json=body, headers=headers, timeout=PATIENCE, trust_env=False)

        with service_process(settings, bound) as process:
            cut_off = thread.submit(post)
            eventually(is_at_work, "a claim without a reply", PATIENCE, step=0.002)
            process.kill()
            with pytest.raises(httpx.TransportError):
                cut_off.result()
        assert is_at_work(), "it was answered before it was killed, and so shows nothing"
        with service_process(settings, bound):
            began, reply = time.monotonic(), post()
            while reply.status_code == InFlight.status:
                time.sleep(0.1)
                reply = post()
            waited = time.monotonic() - began
            page = httpx.get(url, headers=headers, timeout=PATIENCE, trust_env=False)
    assert reply.status_code == 202
    assert waited < 2 * replies.IN_FLIGHT.total_seconds()
    assert [found["id"] for found in page.json()["data"]] == [reply.json()["id"]]


def test_a_request_at_work_keeps_its_key_however_long(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "IN_FLIGHT", timedelta(seconds=2))
    monkeypatch.setattr(replies, "RENEW_SECONDS", 0.1)
    database = app.state.database
    with transaction(database) as session:
        claim = replies.claim_key(session, "demo", "k", "f")
    assert isinstance(claim, replies.Claim)
    with replies.renewing(database, claim):
        time.sleep(3)
        with pytest.raises(InFlight), transaction(database) as session:
            replies.claim_key(session, "demo", "k", "f")
    time.sleep(2.5)
    with transaction(database) as session:
        assert isinstance(replies.claim_key(session, "demo", "k", "f"), replies.Claim)


def test_a_clients_usual_tries_outlast_the_claim_of_a_dead_server() -> None:
    assert InFlight.retry_after is not None
    pauses = [min(InFlight.retry_after, BACKOFF.longest_pause)] * (BACKOFF.tries - 1)
    assert sum(pauses) > replies.IN_FLIGHT.total_seconds()
