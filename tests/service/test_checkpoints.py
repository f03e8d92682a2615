"""What is registered: folders by content, and what each was made from."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from holdfast.db.session import transaction


def register(api: TestClient, folder: Path, **also: str) -> str:
    reply = api.post("/v1/checkpoints", json={"uri": str(folder), **also})
    assert reply.status_code == 201, reply.json()
    return str(reply.json()["id"])


def test_a_parent_is_told_with_the_checkpoint_or_later_and_stays(
    api: TestClient, models: Path
) -> None:
    base = register(api, models / "base")
    tuned = register(api, models / "tuned")
    assert register(api, models / "tuned", parent=base) == tuned
    assert api.get(f"/v1/checkpoints/{tuned}").json()["parent"] == base
    assert register(api, models / "tuned") == tuned
    for wrong, says in [(tuned, "its own parent"), (f"ckpt_{'0' * 32}", "no checkpoint")]:
        refused = api.post("/v1/checkpoints", json={"uri": str(models / "tuned"), "parent": wrong})
        assert refused.status_code in {404, 409}
        assert says in refused.json()["detail"]
    assert api.get(f"/v1/checkpoints/{tuned}").json()["parent"] == base


def test_safe_merge_is_taken_once_the_baseline_has_a_parent(
    app: FastAPI, api: TestClient, body: dict[str, str], models: Path
) -> None:
    made = api.post("/v1/evaluations", json=body).json()["id"]
    with transaction(app.state.database) as session:
        session.execute(text("UPDATE evaluations SET verdict = 'fail'"))
    wanted = {"evaluation": made, "recipe": "safe_merge"}
    refused = api.post("/v1/remediations", json=wanted)
    assert (refused.status_code, refused.json()["title"]) == (422, "InvalidPlan")
    assert "name it as the baseline's `parent`" in refused.json()["detail"]
    before = register(api, models / "tuned")
    register(api, models / "base", parent=before)
    assert api.post("/v1/remediations", json=wanted).status_code == 202
