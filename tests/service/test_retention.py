"""What the API says of evidence that was archived, and of weights that were removed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from holdfast.db.session import transaction
from holdfast.db.tables import CheckpointRow
from holdfast.ids import new_id
from holdfast.projects.prune import prune
from holdfast.settings import Settings
from tests.holdfast.projects.retention.rows import end, judge
from tests.support.folders import write_checkpoint


@pytest.fixture
def archived(app: FastAPI, api: TestClient, body: dict[str, Any], settings: Settings) -> str:
    """The path of a failed evaluation whose trials were removed."""
    path = api.post("/v1/evaluations", json=body).headers["Location"]
    evaluation = path.rsplit("/", 1)[1]
    judge(app.state.database, evaluation)
    end(app.state.database, evaluation, days=31)
    assert api.get(f"{path}/flips").json()["data"] != []
    api.post("/v1/evaluations", json={**body, "tier": "canary"})  # whose event is the newest
    aged = settings.model_copy(update={"keep_trials_days": 30, "keep_events_days": 30})
    assert prune(app.state.database, aged).problems == ()
    return str(path)


@pytest.mark.parametrize("name", ["artifacts/evidence/baseline.jsonl", "flips", "items"])
def test_evidence_that_was_archived_is_never_shown_as_none(
    api: TestClient, archived: str, name: str
) -> None:
    reply = api.get(f"{archived}/{name}")
    assert (reply.status_code, reply.json()["title"]) == (404, "NotFound")
    assert "was archived: it is in archive/eval_" in reply.json()["detail"]


def test_its_verdict_is_there_as_ever(api: TestClient, archived: str) -> None:
    assert api.get(archived).json()["verdict"] == "fail"
    for name in ("verdict", "verdicts", "checks", "artifacts/report.txt", "artifacts/junit.xml"):
        assert api.get(f"{archived}/{name}").status_code == 200, name


def test_a_stream_of_events_that_were_removed_ends(api: TestClient, archived: str) -> None:
    stream = api.get(f"{archived}/events", headers={"Accept": "text/event-stream"})
    assert stream.status_code == 204
    assert api.get(f"{archived}/events").json()["data"] == []


@pytest.fixture
def emptied(app: FastAPI, api: TestClient, settings: Settings, models: Path) -> str:
    """The id of a checkpoint that a repair made and that has no weights any more."""
    made = api.post("/v1/checkpoints", json={"uri": str(models / "tuned")}).json()["id"]
    folder = write_checkpoint(settings.repairs / new_id("rem"))
    with transaction(app.state.database) as session:
        session.get_one(CheckpointRow, made).path = str(folder.resolve())
    shutil.rmtree(folder)
    shutil.rmtree(models / "tuned")
    return str(made)


@pytest.mark.parametrize("side", ["candidate", "baseline", "anchor", "repairs"])
def test_a_repair_without_weights_is_refused_when_it_is_submitted(
    api: TestClient, body: dict[str, Any], models: Path, emptied: str, side: str
) -> None:
    base = str(models / "base")
    wanted = {**body, "candidate": base, "baseline": base, side: emptied}
    reply = api.post("/v1/evaluations", json=wanted)
    assert (reply.status_code, reply.json()["title"]) == (422, "CheckpointRefused")
    assert f"the weights of {emptied}, which the repair rem_" in reply.json()["detail"]


def test_an_alias_leads_to_the_same_sentence(
    api: TestClient, body: dict[str, Any], models: Path, emptied: str
) -> None:
    api.put("/v1/projects/demo/baselines/production", json={"checkpoint": emptied})
    wanted = {
        **body,
        "candidate": str(models / "base"),
        "baseline": {"alias": "production"},
    }
    reply = api.post("/v1/evaluations", json=wanted)
    assert "were removed" in reply.json()["detail"]
