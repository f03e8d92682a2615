"""The headers of every reply, and requests that are refused before the application sees them."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service import limits
from service.limits import MAX_BODY
from service.problems import HEADERS
from tests.service.test_problems import assert_problem


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v1/evaluations", 200),
        ("GET", "/v1/keys", 200),
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/healthz", 405),
        ("POST", "/v1/policies", 422),
        ("GET", "/v1/evaluations?cursor=%00", 422),
        ("GET", "/explode", 500),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_reply_says_what_a_browser_may_do_with_it(
    app: FastAPI, api: TestClient, method: str, path: str, status: int
) -> None:
    def explode() -> None:
        raise RuntimeError

    app.add_api_route("/explode", explode)
    reply = api.request(method, path)
    assert reply.status_code == status
    assert {name: reply.headers.get_list(name) for name in HEADERS} == {
        name: [value] for name, value in HEADERS.items()
    }
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_there_is_no_page_that_loads_anything_from_elsewhere(api: TestClient, path: str) -> None:
    assert_problem(api.get(path), 404)


PLACES = [
    "/%00",
    "/v1/evaluations/%00",
    "/v1/projects/demo/baselines/%00",
    "/v1/projects/demo%00/baselines/production",
    "/v1/evaluations?cursor=%00",
    "/v1/policies?limit=5&more=a%00b",
    "/v1/evaluations/EVALUATION/items?probe=%00",
    "/v1/evaluations/EVALUATION/items?outcome=ok&side=a%00b",
    "/v1/evaluations/EVALUATION/flips?probe=%00",
]
CURSORS = [
    "0x10",
    "-1",
    "9" * 400,
    "eval_" + "g" * 32,
    json.dumps(["a", "b", "c", "d"]),
    "WyJhIiwgImIiLCAiYyIsICJkIl",  # cut
    "WzEsIDIsIDMsIDRd",  # numbers
    "__5bACIAYQAiACwAIgBiACIALAAiAGMAIgAsACIAZAAiAF0A",  # another encoding of good ones
    "WyJcdTAwMDAiLCAiYSIsICJiIiwgImMiXQ==",  # a NUL
    "WyJcdWQ4MDAiLCAiYSIsICJiIiwgImMiXQ==",  # half a surrogate pair
]


def test_a_nul_and_odd_cursors_are_the_callers_fault(api: TestClient, body: dict[str, Any]) -> None:
    evaluation = api.post("/v1/evaluations", json=body).json()["id"]
    for place in PLACES:
        assert_problem(api.get(place.replace("EVALUATION", evaluation)), 422)
    for list_name in (f"evaluations/{evaluation}/items", "evaluations", "policies", "checkpoints"):
        for cursor in CURSORS:
            reply = api.get(f"/v1/{list_name}", params={"cursor": cursor})
            assert_problem(reply, 422)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_beyond_its_limit_a_server_is_busy_and_healthy(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get("/v1/evaluations").status_code == 200
    monkeypatch.setattr(limits, "REQUESTS_AT_ONCE", 0)
    busy = api.get("/v1/evaluations")
    assert_problem(busy, 503)
    assert (busy.json()["title"], busy.headers["retry-after"]) == ("Unreachable", "1")
    assert (api.get("/healthz").status_code, api.get("/readyz").status_code) == (200, 200)
    monkeypatch.setattr(limits, "REQUESTS_AT_ONCE", 1)
    for _ in range(3):  # what was refused counts no longer
        assert api.get("/v1/evaluations").status_code == 200
        assert api.post("/v1/policies", content=b" " * (MAX_BODY + 1)).status_code == 413
