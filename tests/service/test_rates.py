"""How often a key, its project and an address may ask; and that a lost counter limits nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import transaction
from holdfast.scopes import SCOPES
from holdfast.settings import Settings
from service.app import create_app
from tests.service.test_problems import assert_problem

VALIDATE, SAME = "/v1/policies:validate", {"text": "version: 1"}


@pytest.fixture
def narrow(settings: Settings) -> Settings:
    """Five writes, twenty reads, three wrong keys a minute."""
    few = {"writes_per_minute": 5, "reads_per_minute": 20, "failed_keys_per_minute": 3}
    return settings.model_copy(update=few)


@pytest.fixture
def limited_app(narrow: Settings) -> Iterator[FastAPI]:
    app = create_app(narrow)
    yield app
    app.state.database.dispose()


@pytest.fixture
def client(limited_app: FastAPI) -> Iterator[TestClient]:
    """The application with these limits, without a key."""
    with TestClient(limited_app) as client:
        yield client


def key(app: FastAPI, project: str = "p") -> dict[str, str]:
    with transaction(app.state.database) as session:
        pepper = read_pepper(app.state.settings)
        made = create_key(session, pepper, project, name="n", scopes=SCOPES)
    return {"Authorization": f"Bearer {made.token}"}


def test_what_is_left_is_said_and_one_more_is_told_when_to_come_back(
    limited_app: FastAPI, client: TestClient
) -> None:
    mine = key(limited_app)
    replies = [client.post(VALIDATE, json=SAME, headers=mine) for _ in range(6)]
    assert [reply.status_code for reply in replies] == [422] * 5 + [429]
    assert replies[0].headers["RateLimit-Policy"] == '"writes";q=5;w=60'
    assert replies[0].headers["RateLimit"].startswith('"writes";r=4;t=')
    assert_problem(replies[5], 429)
    assert 1 <= int(replies[5].headers["Retry-After"]) <= 60
    assert client.get("/v1/policies", headers=mine).status_code == 200  # reads are counted apart


def test_keys_of_one_project_share_its_five_times_as_many(
    limited_app: FastAPI, client: TestClient
) -> None:
    def statuses(project: str) -> set[int]:
        mine = key(limited_app, project)
        return {client.post(VALIDATE, json=SAME, headers=mine).status_code for _ in range(5)}

    assert [statuses("p") for _ in range(5)] == [{422}] * 5
    assert statuses("p") == {429}
    assert statuses("q") == {422}


def test_an_address_that_guesses_keys_is_slowed(limited_app: FastAPI, client: TestClient) -> None:
    wrong = {"Authorization": "Bearer holdfast_live_guess"}
    statuses = [client.get("/v1/keys", headers=wrong).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert client.get("/v1/keys", headers=key(limited_app)).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_without_the_counter_nobody_is_limited_and_a_metric_says_so(
    narrow: Settings, tmp_path: Path
) -> None:
    away = f"redis+socket://{tmp_path}/nobody.sock?virtual_host=0"
    app = create_app(narrow.model_copy(update={"broker_url": away, "metrics_open": True}))
    with TestClient(app) as client:
        mine = key(app)
        for _ in range(8):
            reply = client.post(VALIDATE, json=SAME, headers=mine)
            assert reply.status_code == 422
        assert "RateLimit" not in reply.headers
        assert "holdfast_rate_limit_unavailable_total 1.0" in client.get("/metrics").text
    app.state.database.dispose()
