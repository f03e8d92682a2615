"""Every route by every kind of key; a route without a rule fails, and a rule without a route."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Route

from holdfast.scopes import ROLES, SCOPES, Role, Scope, held_scopes
from tests.service.conftest import MakeKey
from tests.service.test_problems import concrete

Rule = tuple[Scope, ...]  # any of which is enough

READ: Rule = ("jobs:read",)
WRITE: Rule = ("jobs:write",)
CANCEL: Rule = ("jobs:write", "jobs:cancel")
EVALUATION, REPAIR = "/v1/evaluations/{evaluation_id:id}", "/v1/remediations/{remediation_id:id}"
PROJECT = "/v1/projects/{project}"
BASELINE = f"{PROJECT}/baselines/{{alias}}"

RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/v1/checkpoints"): READ,
    ("POST", "/v1/checkpoints"): WRITE,
    ("GET", "/v1/checkpoints/{checkpoint_id:id}"): READ,
    ("GET", "/v1/checkpoints/{checkpoint_id:id}/chain"): READ,
    ("GET", BASELINE): READ,
    ("PUT", BASELINE): ("baselines:write",),
    ("GET", f"{BASELINE}/history"): READ,
    ("GET", "/v1/policies"): READ,
    ("POST", "/v1/policies"): ("policies:write",),
    ("POST", "/v1/policies:validate"): READ,
    ("GET", "/v1/policies/{policy_id:id}"): READ,
    ("GET", "/v1/evaluations"): READ,
    ("POST", "/v1/evaluations"): WRITE,
    ("GET", EVALUATION): READ,
    ("POST", f"{EVALUATION}:cancel"): CANCEL,
    ("POST", f"{EVALUATION}:retry"): WRITE,
    ("GET", "/v1/evaluations/{job_id:id}/events"): READ,
    ("GET", f"{EVALUATION}/verdict"): READ,
    ("GET", f"{EVALUATION}/verdicts"): READ,
    ("GET", f"{EVALUATION}/checks"): READ,
    ("GET", f"{EVALUATION}/flips"): READ,
    ("GET", f"{EVALUATION}/items"): READ,
    ("GET", f"{EVALUATION}/artifacts/{{name:path}}"): READ,
    ("GET", "/v1/remediations"): READ,
    ("POST", "/v1/remediations"): WRITE,
    ("GET", REPAIR): READ,
    ("POST", f"{REPAIR}:cancel"): CANCEL,
    ("GET", f"{REPAIR}/candidates"): READ,
    ("GET", "/v1/remediations/{job_id:id}/events"): READ,
    ("GET", "/v1/keys"): ("admin",),
    ("POST", "/v1/keys"): ("admin",),
    ("POST", "/v1/keys/{key_id:id}:revoke"): ("admin",),
    ("GET", "/v1/projects"): READ,
    ("GET", PROJECT): READ,
    ("PUT", PROJECT): ("projects:write",),
    ("GET", "/v1/waivers"): READ,
    ("POST", "/v1/waivers"): ("waivers:write",),
    ("POST", "/v1/waivers/{waiver_id:id}:revoke"): ("waivers:write",),
    ("GET", "/v1/audit-events"): ("audit:read",),
    ("GET", "/v1/audit-head"): ("audit:read",),
    ("GET", "/v1/audit-heads"): ("audit:read",),
    ("GET", "/v1/probes"): READ,
    ("GET", "/v1/suites"): READ,
    ("GET", "/v1/judges"): READ,
    ("GET", "/metrics"): READ,
    ("GET", "/healthz"): (),  # nobody's secret
    ("GET", "/readyz"): (),
    ("GET", "/openapi.json"): (),
}
CLOSED = {place: rule for place, rule in RULES.items() if rule}


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers, hidden ones too."""
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is no plain route; say here how it is guarded"
        yield from ((method, route.path) for method in (route.methods or set()) - {"HEAD"})


def status(api: TestClient, place: tuple[str, str], headers: dict[str, str]) -> int:
    method, path = place
    return api.request(method, concrete(path), headers=headers, json={}).status_code


@pytest.fixture
def bare(app: FastAPI) -> Iterator[TestClient]:
    """A client without a key."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_every_route_has_a_rule_and_every_rule_a_route(app: FastAPI) -> None:
    assert set(routes(app)) == RULES.keys()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_its_scopes_say_and_no_more(
    bare: TestClient, make_key: MakeKey, role: Role
) -> None:
    key, held = make_key(*ROLES[role]), held_scopes(ROLES[role])
    for place, rule in CLOSED.items():
        expected = {403} if held.isdisjoint(rule) else {200, 202, 304, 400, 404, 409, 422}
        assert status(bare, place, key) in expected, (role, place)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_alone_opens_its_own_routes(
    bare: TestClient, make_key: MakeKey, scope: Scope
) -> None:
    key, held = make_key(scope), held_scopes([scope])
    for place, rule in CLOSED.items():
        assert (status(bare, place, key) == 403) == held.isdisjoint(rule), (scope, place)


def keys_of_nobody(bare: TestClient, make_key: MakeKey) -> dict[str, dict[str, str]]:
    """Headers that must open nothing."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    revoked, admin = make_key(*SCOPES), make_key("admin")
    made = bare.get("/v1/keys", headers=admin).json()["data"]
    ended = next(key["id"] for key in made if len(key["scopes"]) == len(SCOPES))
    assert bare.post(f"/v1/keys/{ended}:revoke", headers=admin).status_code == 200
    token = admin["Authorization"]
    return {
        "none": {},
        "expired": make_key(*SCOPES, expires_at=past),
        "revoked": revoked,
        "mistyped": {"Authorization": token[:-1] + ("a" if token[-1] != "a" else "b")},
        "not a bearer": {"Authorization": token.replace("Bearer", "Basic")},
        "twice": {"Authorization": f"{token}, {token}"},
    }


def test_without_a_good_key_nothing_opens(bare: TestClient, make_key: MakeKey) -> None:
    for name, headers in keys_of_nobody(bare, make_key).items():
        for place in CLOSED:
            assert status(bare, place, headers) == 401, (name, place)


def test_what_is_open_says_nothing_of_anybody(
    bare: TestClient, api: TestClient, body: dict[str, Any]
) -> None:
    secret = api.post("/v1/evaluations", json=body).json()["id"]
    for method, path in RULES.keys() - CLOSED.keys():
        reply = bare.request(method, path)
        assert reply.status_code == 200
        assert secret not in reply.text
        assert body["candidate"] not in reply.text


def test_a_key_of_another_project_meets_nothing_of_this_one(
    api: TestClient, body: dict[str, Any], make_key: MakeKey
) -> None:
    made = api.post("/v1/evaluations", json=body).json()
    move = {"checkpoint": made["candidate"]}
    api.put("/v1/projects/demo/baselines/production", json=move)
    ours = {
        "evaluation_id:id": made["id"],
        "job_id:id": made["id"],
        "checkpoint_id:id": made["candidate"],
        "policy_id:id": made["policy"],
        "project": "demo",
        "alias": "production",
    }
    other = make_key(*SCOPES, project="other")
    for method, route in CLOSED:
        path = re.sub(r"{(.*?)}", lambda name: ours.get(name[1], name[0]), route)
        reply = api.request(method, concrete(path), headers=other, json={})
        about_it = "{" in route
        assert reply.status_code in ({403, 404, 422} if about_it else {200, 400, 422}), path
        if not about_it:
            assert not any(value in reply.text for value in ours.values() if len(value) > 20)
