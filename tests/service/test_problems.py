"""Every error is a problem with its request's id; no route is left out."""

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from holdfast import errors
from service.limits import MAX_BODY
from service.problems import raises

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ID = "0" * 32
PARTS = {"project": "demo", "alias": "production", "name": "report.md"}


def concrete(path: str) -> str:
    """A path of a route with its parameters filled in."""

    def fill(match: re.Match[str]) -> str:
        name = match[1].partition(":")[0]
        kind = {"checkpoint_id": "ckpt", "policy_id": "pol", "key_id": "key"}.get(name, "eval")
        return PARTS.get(name, f"{kind}_{ID}")

    return re.sub(r"{(.*?)}", fill, path)


def routes(app: FastAPI) -> dict[str, set[str]]:
    """Methods by path, of the application's own routes."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for route in app.routes:
        if isinstance(route, APIRoute):
            found[route.path] |= route.methods
    return found


def assert_problem(reply: object, status: int) -> None:
    assert reply.status_code == status, reply.text  # type: ignore[attr-defined]
    assert reply.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    problem = reply.json()  # type: ignore[attr-defined]
    assert problem["status"] == status
    assert problem["request_id"] == reply.headers["x-request-id"]  # type: ignore[attr-defined]
    assert problem["detail"]


def test_405_names_every_method_of_the_path(app: FastAPI, api: TestClient) -> None:
    for path, methods in routes(app).items():
        for method in {"DELETE", "PATCH", "TRACE", "OPTIONS", "PUT"} - methods:
            reply = api.request(method, concrete(path))
            assert_problem(reply, 405)
            assert set(reply.headers["allow"].split(", ")) == methods, path


def test_401_on_every_route_but_health(app: FastAPI, api: TestClient) -> None:
    del api.headers["Authorization"]
    for path, methods in routes(app).items():
        for method in methods:
            reply = api.request(method, concrete(path))
            if path in {"/healthz", "/readyz"}:
                assert reply.status_code == 200
                continue
            assert_problem(reply, 401)
            assert reply.headers["www-authenticate"] == "Bearer"


def test_404(app: FastAPI, api: TestClient) -> None:
    assert_problem(api.get("/v2/anything"), 404)
    assert_problem(api.get("/v1/evaluations/not-an-id"), 404)
    for path, methods in routes(app).items():
        if "_id:id}" in path:
            for method in methods:
                assert_problem(api.request(method, concrete(path)), 404)


def test_422_of_a_body(api: TestClient) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    for content in ("", "{", "[]", "null", '{"text": 1}', "\ufeff{}", '{"text": NaN}'):
        assert_problem(api.post("/v1/policies", content=content.encode(), headers=headers), 422)
    for unreadable in (b"[" * 100_000, b'"\xff"'):
        assert_problem(api.post("/v1/policies", content=unreadable, headers=headers), 400)


def test_413_by_bytes_that_came(api: TestClient) -> None:
    def endless() -> Iterator[bytes]:  # chunked, so no Content-Length says how much
        for _ in range(40):
            yield b" " * (MAX_BODY // 32)

    assert_problem(api.post("/v1/policies", content=endless()), 413)
    just_fits = b'{"text": "%s"}' % (b"x" * (MAX_BODY - 12))
    assert_problem(api.post("/v1/policies", content=just_fits), 422)


def test_500_says_nothing_but_the_request(
    app: FastAPI, api: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "swordfish"

    def explode() -> None:
        raise RuntimeError(f"the secret is {secret}")

    app.add_api_route("/explode", explode)
    reply = api.get("/explode")
    assert_problem(reply, 500)
    assert secret not in reply.text
    assert reply.json()["request_id"] in caplog.text
    assert "in explode" in caplog.text
    assert secret not in caplog.text


def test_documented_statuses_come_from_the_classes(database_url: str) -> None:
    documented = raises(errors.StaleVersion, errors.NotFound)
    assert set(documented) == {400, 401, 403, 404, 412, 413, 422, 429}
    assert "read it again" in documented[412]["description"]


def test_every_operation_documents_its_problems(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        if path.startswith("/v1"):
            for operation in operations.values():
                assert {"401", "403", "413", "422"} <= operation["responses"].keys(), path
                assert "application/problem+json" in operation["responses"]["422"]["content"]
