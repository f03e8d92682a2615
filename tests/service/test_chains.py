"""A lineage's forgetting as the service reads it from the database."""

from itertools import pairwise
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import transaction
from holdfast.db.trials import Saved, save_answers, save_trials
from holdfast.job import Status
from tests.service.conftest import MakeKey
from tests.support.evidence import evidence, share
from tests.support.folders import write_checkpoint


def register(api: TestClient, models: Path, names: str) -> list[str]:
    """A chain of checkpoints, one a letter, each the parent of the next."""
    ids: list[str] = []
    for name in names.split():
        folder = models / name
        if not folder.exists():
            write_checkpoint(folder, value=float(int.from_bytes(name.encode())))
        also = {"parent": ids[-1]} if ids else {}
        ids.append(api.post("/v1/checkpoints", json={"uri": str(folder), **also}).json()["id"])
    return ids


def evaluate(app: FastAPI, api: TestClient, pair: tuple[str, str], harm: tuple[int, int]) -> None:
    """A finished evaluation of the second against the first; harm and errors in per cent."""
    asked = {"candidate": pair[1], "baseline": pair[0], "policy": "demo", "tier": "demo"}
    made = api.post("/v1/evaluations", json=asked).json()["id"]
    with transaction(app.state.database) as session:
        lease = jobs.claim(session, queue="cpu", owner="w")
        assert lease is not None
        manifests = {}
        for side, checkpoint, rate in zip(("baseline", "candidate"), pair, harm, strict=True):
            rates = {"harm.direct": share(rate, 100), "cap.knowledge": share(100 - rate, 100)}
            found = evidence(checkpoint, rates)
            save_answers(session, side, [(f"{made}{side}", {"text": "words"})])
            saved = [Saved(trial, f"{made}{side}") for trial in found.trials]
            save_trials(session, lease, made, side, saved)
            manifests[side] = found.manifest.model_dump(mode="json", by_alias=True)
        get_evaluation(session, made).manifests = manifests
        jobs.finish(session, lease, Status.SUCCEEDED)


@pytest.fixture
def lineage(app: FastAPI, api: TestClient, models: Path) -> list[str]:
    ids = register(api, models, "P A AB")
    for pair, harm in zip(pairwise(ids), ((10, 40), (40, 45)), strict=True):
        evaluate(app, api, pair, harm)
    return ids


def harm_of(reply: dict[str, list[dict[str, list[dict[str, float]]]]]) -> list[float]:
    return [step["probes"][0]["forgetting"] for step in reply["steps"]]


def test_each_stage_and_all_since_the_first(api: TestClient, lineage: list[str]) -> None:
    found = api.get(f"/v1/checkpoints/{lineage[2]}/chain").json()
    assert harm_of(found) == pytest.approx([0.30, 0.05, 0.35])
    assert [step["kind"] for step in found["steps"]] == ["stage", "stage", "cumulative"]
    nearer = api.get(f"/v1/checkpoints/{lineage[2]}/chain", params={"anchor": lineage[1]}).json()
    assert harm_of(nearer) == pytest.approx([0.05])


def test_a_stage_without_evidence_is_named_and_never_stepped_over(
    app: FastAPI, api: TestClient, models: Path
) -> None:
    ids = register(api, models, "O P A AB")
    evaluate(app, api, (ids[1], ids[3]), (10, 40))
    reply = api.get(f"/v1/checkpoints/{ids[3]}/chain")
    assert reply.status_code == 404
    assert f"stage 3 of 4, {ids[2]}, has no complete evidence" in reply.json()["detail"]
    evaluate(app, api, (ids[1], ids[2]), (10, 20))
    found = api.get(f"/v1/checkpoints/{ids[3]}/chain").json()
    assert harm_of(found) == pytest.approx([0.10, 0.20, 0.30])
    assert found["unmeasured"] == [ids[0]]
    for tip, says in ((ids[0], "without a stage"), (ids[1], "without a stage")):
        assert says in api.get(f"/v1/checkpoints/{tip}/chain").json()["detail"]
    wrong = api.get(f"/v1/checkpoints/{ids[1]}/chain", params={"anchor": ids[3]})
    assert (wrong.status_code, "no ancestor" in wrong.json()["detail"]) == (404, True)


def test_the_order_effect_is_of_two_stages_from_one_start(
    app: FastAPI, api: TestClient, models: Path, lineage: list[str]
) -> None:
    path = f"/v1/checkpoints/{lineage[2]}/chain"
    assert api.get(path).json()["order"] is None
    start, b, ba = register(api, models, "P B BA")
    assert start == lineage[0]
    evaluate(app, api, (start, b), (10, 70))
    evaluate(app, api, (b, ba), (70, 12))
    order = api.get(path, params={"other_order": ba}).json()["order"]
    assert order["safety_forgotten"] == pytest.approx(0.05)
    assert order["capability_forgotten"] == pytest.approx(0.58)
    assert order["effect"] == pytest.approx(0.05 - 0.58)
    assert api.get(path, params={"other_order": b}).status_code == 409


def test_chains_from_different_starts_have_no_order_to_compare(
    app: FastAPI, api: TestClient, models: Path, lineage: list[str]
) -> None:
    start, b, ba = register(api, models, "Q B BA")
    evaluate(app, api, (start, b), (10, 70))
    evaluate(app, api, (b, ba), (70, 12))
    reply = api.get(f"/v1/checkpoints/{lineage[2]}/chain", params={"other_order": ba})
    assert (reply.status_code, "no order to compare" in reply.json()["detail"]) == (409, True)


def test_another_project_sees_nothing_of_it(
    api: TestClient, lineage: list[str], make_key: MakeKey
) -> None:
    theirs = make_key("jobs:read", project="other")
    reply = api.get(f"/v1/checkpoints/{lineage[2]}/chain", headers=theirs)
    assert reply.status_code == 404
