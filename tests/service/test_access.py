"""Scopes, and that a project sees nothing of another."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from fastapi.testclient import TestClient

from holdfast.db.session import reading
from holdfast.db.tables import ApiKey
from holdfast.scopes import ROLES, SCOPES
from service.deps import allow, allow_one
from tests.service.test_problems import concrete

OPEN = {"/healthz", "/readyz", "/metrics"}  # `require_scraper` has its own tests


def scopes_of(route: APIRoute) -> set[str]:
    for dependency in route.dependant.dependencies:
        if dependency.call in {allow, allow_one}:
            return set(dependency.own_oauth_scopes or [])
    return set()


def test_every_route_needs_a_scope(app: FastAPI, api: TestClient, make_key: Any) -> None:
    assert SecurityScopes(["a"]).scopes == ["a"]
    for route in app.routes:
        if not isinstance(route, APIRoute) or route.path in OPEN:
            continue
        needed = scopes_of(route)
        assert needed, route.path
        lacking = make_key(*(set(SCOPES) - needed - {"admin"}))
        for method in route.methods:
            reply = api.request(method, concrete(route.path), headers=lacking)
            assert reply.status_code == 403, (method, route.path, reply.text)
            assert needed & set(reply.json()["detail"].replace(",", " ").replace(";", "").split())


def test_projects_do_not_see_each_other(
    api: TestClient, body: dict[str, Any], make_key: Any
) -> None:
    evaluation = api.post("/v1/evaluations", json=body).json()
    api.put("/v1/projects/demo/baselines/production", json={"checkpoint": evaluation["candidate"]})
    mine = {
        f"/v1/evaluations/{evaluation['id']}": 404,
        f"/v1/evaluations/{evaluation['id']}/verdict": 404,
        f"/v1/evaluations/{evaluation['id']}/items": 404,
        f"/v1/evaluations/{evaluation['id']}/flips": 404,
        f"/v1/evaluations/{evaluation['id']}/events": 404,
        f"/v1/evaluations/{evaluation['id']}/artifacts/report.md": 404,
        f"/v1/checkpoints/{evaluation['candidate']}": 404,
        f"/v1/policies/{evaluation['policy']}": 404,
        "/v1/projects/demo/baselines/production": 403,
        "/v1/projects/demo/baselines/production/history": 403,
    }
    other = make_key(*SCOPES, project="other")
    for path, status in mine.items():
        assert api.get(path, headers=other).status_code == status, path
    for path in ("evaluations", "remediations", "checkpoints", "policies"):
        assert api.get(f"/v1/{path}", headers=other).json()["data"] == [], path
    assert [key["project"] for key in api.get("/v1/keys", headers=other).json()["data"]] == [
        "other"
    ]
    stolen = {**body, "candidate": evaluation["candidate"]}
    assert api.post("/v1/evaluations", json=stolen, headers=other).status_code == 404
    cancel = f"/v1/evaluations/{evaluation['id']}:cancel"
    assert api.post(cancel, headers=other).status_code == 404
    repair = {"evaluation": evaluation["id"], "recipe": "wise_ft"}
    assert api.post("/v1/remediations", json=repair, headers=other).status_code == 404


def test_a_key_is_shown_once_and_stored_hashed(app: FastAPI, api: TestClient) -> None:
    made = api.post("/v1/keys", json={"name": "ci", "scopes": ["jobs:read"]})
    token = made.json()["token"]
    assert made.headers["cache-control"] == "no-store"
    assert all(key["token"] is None for key in api.get("/v1/keys").json()["data"])
    with reading(app.state.database) as session:
        row = session.get_one(ApiKey, made.json()["id"])
        stored = [str(getattr(row, column.key)) for column in ApiKey.__table__.columns]
    secret = token.split("_")[3]
    assert not any(secret in value for value in stored)
    headers = {"Authorization": f"Bearer {token}"}
    assert api.get("/v1/evaluations", headers=headers).status_code == 200
    assert api.post("/v1/keys", json={}, headers=headers).status_code == 403
    assert api.post(f"/v1/keys/{made.json()['id']}:revoke").json()["revoked_at"] is not None
    assert api.get("/v1/evaluations", headers=headers).status_code == 401
    assert api.post(f"/v1/keys/{made.json()['id']}:revoke").status_code == 409


def test_an_expired_key_is_refused(api: TestClient, make_key: Any) -> None:
    moment = datetime.now(UTC)
    for expires_at, status in [
        (moment - timedelta(seconds=1), 401),
        (moment + timedelta(hours=1), 200),
    ]:
        headers = make_key("jobs:read", expires_at=expires_at)
        assert api.get("/v1/evaluations", headers=headers).status_code == status


def test_admin_does_all_but_read_model_text(
    api: TestClient, body: dict[str, Any], make_key: Any
) -> None:
    made = api.post("/v1/evaluations", json=body).json()
    items = f"/v1/evaluations/{made['id']}/items"
    admin = make_key("admin")
    assert api.get(items, headers=admin).status_code == 200
    assert api.get(f"{items}?text=true", headers=admin).status_code == 403
    assert api.get(f"{items}?text=true").status_code == 200


def test_a_key_mints_no_more_than_it_has(api: TestClient, make_key: Any) -> None:
    admin = make_key("admin")
    wanted = {"name": "n", "roles": ["content"]}
    refused = api.post("/v1/keys", json=wanted, headers=admin)
    assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")
    assert "content:read" in refused.json()["detail"]
    assert api.post("/v1/keys", json={"name": "n", "roles": ["release"]}, headers=admin).is_success


def test_a_key_stands_for_a_person_or_for_whoever_minted_it(api: TestClient) -> None:
    ann = api.post("/v1/keys", json={"name": "n", "roles": ["admin"], "principal": "ann"}).json()
    headers = {"Authorization": f"Bearer {ann['token']}"}
    heir = api.post("/v1/keys", json={"name": "n", "roles": ["read"]}, headers=headers).json()
    assert (ann["principal"], heir["principal"], heir["minted_by"]) == ("ann", "ann", ann["id"])


def test_a_role_is_its_scopes_and_a_key_needs_either(api: TestClient) -> None:
    made = api.post("/v1/keys", json={"name": "n", "roles": ["submit"], "scopes": ["audit:read"]})
    assert made.json()["scopes"] == ["audit:read", "jobs:read", "jobs:write"]
    assert api.post("/v1/keys", json={"name": "n"}).status_code == 422
    assert api.post("/v1/keys", json={"name": "n", "roles": ["boss"]}).status_code == 422


def test_what_a_role_may_not_do_is_said_with_the_role_that_may(
    api: TestClient, make_key: Any
) -> None:
    reply = api.post("/v1/evaluations", json={}, headers=make_key("jobs:read"))
    assert reply.status_code == 403
    assert (
        reply.json()["detail"] == "the key lacks jobs:write; a key of role submit or admin has it"
    )


def test_a_job_is_ended_by_who_submitted_it_or_by_a_reviewer(
    api: TestClient, body: dict[str, Any], make_key: Any
) -> None:
    mine, theirs = make_key(*ROLES["submit"]), make_key(*ROLES["submit"])
    reviewer = make_key(*ROLES["review"])
    for ended_by, status in ((theirs, 403), (mine, 200)):
        evaluation = api.post("/v1/evaluations", json=body, headers=mine).json()["id"]
        path = f"/v1/evaluations/{evaluation}:cancel"
        assert api.post(path, headers=ended_by).status_code == status
    assert api.post(path, headers=reviewer).status_code == 409  # it has ended already
    evaluation = api.post("/v1/evaluations", json=body, headers=mine).json()["id"]
    assert api.post(f"/v1/evaluations/{evaluation}:cancel", headers=reviewer).status_code == 200


def test_a_key_mints_none_that_outlives_it(api: TestClient) -> None:
    made = api.post("/v1/keys", json={"name": "day", "roles": ["admin"], "expires_in_days": 1})
    short = {"Authorization": f"Bearer {made.json()['token']}"}
    wanted = {"name": "n", "roles": ["admin"]}
    refused = api.post("/v1/keys", json={**wanted, "expires_in_days": 30}, headers=short)
    assert (refused.status_code, "outlives" in refused.json()["detail"]) == (403, True)
    endless = api.post("/v1/keys", json=wanted, headers=short).json()
    assert endless["expires_at"] == made.json()["expires_at"]


def test_two_names_that_look_alike_are_one_person(api: TestClient) -> None:
    made = api.post("/v1/keys", json={"name": "n", "roles": ["read"], "principal": " Ann "})
    assert made.json()["principal"] == "ann"
    hidden = {"name": "n", "roles": ["read"], "principal": "ann\u200b"}
    assert api.post("/v1/keys", json=hidden).status_code == 422
