"""What is registered: folders by content, and what each was made from."""

import json
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from holdfast.db.session import transaction
from tests.holdfast.checkpoints.test_adapter import BASE, CONFIG, FACTORS
from tests.support.folders import write_tensors


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


def test_a_base_with_an_adapter_is_another_checkpoint_than_the_base(
    api: TestClient, body: dict[str, str], models: Path
) -> None:
    base, adapter = models / "whole", models / "lora"
    for folder in (base, adapter):
        folder.mkdir()
    (base / "config.json").write_text('{"model_type": "llama"}')
    write_tensors(base / "model.safetensors", BASE)
    (adapter / "adapter_config.json").write_text(json.dumps(CONFIG))
    write_tensors(adapter / "adapter_model.safetensors", FACTORS)
    alone = register(api, base)
    both = register(api, base, adapter=str(adapter), parent=alone)
    found = api.get(f"/v1/checkpoints/{both}").json()
    assert both != alone
    assert (found["adapter"], found["path"], found["parent"]) == (str(adapter), str(base), alone)
    asked = {**body, "candidate": str(base), "adapter": str(adapter)}
    assert api.post("/v1/evaluations", json=asked).json()["candidate"] == both
    for change, says in [
        ({"candidate": both}, "the folder of its base"),
        ({"candidate": str(adapter), "adapter": None}, "give the base's folder"),
        ({"candidate": str(models / "tuned")}, "give the base that the adapter was trained on"),
    ]:
        refused = api.post("/v1/evaluations", json=asked | change)
        assert (refused.status_code, refused.json()["title"]) == (422, "CheckpointRefused")
        assert says in refused.json()["detail"]
