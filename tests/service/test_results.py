"""Verdict, checks, flips, items and artifacts, all read back from an evaluation's rows."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import transaction
from holdfast.db.trials import Saved, save_answers, save_trials
from holdfast.evidence.file import gather, parse_evidence
from holdfast.job import Status
from holdfast.policy.text import parse_policy
from holdfast.probes.table import CATALOGUE
from holdfast.projects.tables import WaiverRow
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.support.evidence import manifest, trials

POLICY = """
version: 1
name: harm
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""

BASELINE = [0.0] * 110 + [1.0] * 10
CANDIDATE = [1.0] * 60 + [0.0] * 50 + [1.0] * 8 + [0.0, None]  # 60 worse, one fixed, one unscored
FINDINGS = {
    "baseline": trials("harm.direct", BASELINE),
    "candidate": trials("harm.direct", CANDIDATE),
}


@pytest.fixture
def path(app: FastAPI, api: TestClient, body: dict[str, Any]) -> str:
    """An evaluation that is still without a verdict."""
    made = api.post("/v1/evaluations", json={**body, "policy": POLICY})
    return made.headers["Location"]


def finish(app: FastAPI, evaluation_id: str) -> Verdict:
    """Do what a worker does: answers, trials, manifests, verdict, end."""
    sides = {name: gather(manifest(name), found) for name, found in FINDINGS.items()}
    verdict = decide(parse_policy(POLICY, source="p"), sides["baseline"], sides["candidate"])
    with transaction(app.state.database) as session:
        lease = jobs.claim(session, queue="cpu", owner="w")
        assert lease is not None
        for side, found in FINDINGS.items():
            save_answers(session, side, [(f"{side}-{t.item}", {"text": "words"}) for t in found])
            saved = [Saved(trial, f"{side}-{trial.item}") for trial in found]
            save_trials(session, lease, evaluation_id, side, saved)
        row = get_evaluation(session, evaluation_id)
        row.manifests = {
            name: side.manifest.model_dump(mode="json", by_alias=True)
            for name, side in sides.items()
        }
        row.verdict, row.verdict_document = verdict.verdict, verdict.to_json().decode()
        jobs.finish(session, lease, Status.SUCCEEDED)
    return verdict


def test_nothing_before_the_verdict(api: TestClient, path: str) -> None:
    for name in ("verdict", "checks", "artifacts/report.md", "artifacts/evidence/candidate.jsonl"):
        reply = api.get(f"{path}/{name}")
        assert (reply.status_code, reply.json()["title"]) == (404, "NotFound"), name
    assert "queued" in api.get(f"{path}/verdict").json()["detail"]
    assert api.get(f"{path}/flips").json()["data"] == []


def test_the_verdict_is_the_bytes_that_were_decided(
    app: FastAPI, api: TestClient, path: str
) -> None:
    verdict = finish(app, path.rsplit("/", 1)[1])
    assert verdict.verdict == "fail"
    assert api.get(f"{path}/verdict").content == verdict.to_json()
    assert api.get(f"{path}/artifacts/verdict.json").content == verdict.to_json()
    assert api.get(path).json()["verdict"] == "fail"
    (check,) = api.get(f"{path}/checks").json()["data"]
    assert check == json.loads(verdict.to_json())["checks"][0]


def test_no_reader_sees_a_pass_after_its_waiver_ended(
    app: FastAPI, api: TestClient, path: str
) -> None:
    evaluation = path.rsplit("/", 1)[1]
    finish(app, evaluation)
    about = {"checkpoint": api.get(path).json()["candidate"], "check": "harm.direct"}
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    given = api.post("/v1/waivers", json={**about, "reason": "r", "expires_at": until})
    assert given.json()["evaluations"] == [evaluation]
    readers: dict[str, Callable[[Any], str]] = {
        path: lambda reply: reply["verdict"],
        "/v1/evaluations": lambda reply: reply["data"][0]["verdict"],
        f"{path}/verdict": lambda reply: reply["verdict"],
        f"{path}/verdicts": lambda reply: reply["data"][-1]["verdict"],
        f"{path}/artifacts/verdict.json": lambda reply: reply["verdict"],
    }
    for place, read in readers.items():
        assert read(api.get(place).json()) == "pass", place
    passed, past = api.get(f"{path}/verdict").text, datetime.now(UTC) - timedelta(seconds=1)
    for place, read in readers.items():
        with transaction(app.state.database) as session:
            session.execute(update(WaiverRow).values(expires_at=past))
            row = get_evaluation(session, evaluation)
            row.verdict, row.verdict_document, row.waived_until = "pass", passed, past
        assert read(api.get(place).json()) == "fail", place


def test_artifacts(app: FastAPI, api: TestClient, path: str) -> None:
    verdict = finish(app, path.rsplit("/", 1)[1])
    for side, digest in verdict.evidence_digests.items():
        reply = api.get(f"{path}/artifacts/evidence/{side}.jsonl")
        assert parse_evidence(reply.content, source=side).digest == digest
    assert "fail" in api.get(f"{path}/artifacts/report.md").text.lower()
    assert "fail" in api.get(f"{path}/artifacts/report.txt").text.lower()
    page = api.get(f"{path}/artifacts/report.html")
    assert page.headers["content-type"].startswith("text/html")
    assert "the worst flips" in page.text
    suites = ET.fromstring(api.get(f"{path}/artifacts/junit.xml").content)
    assert suites.find(".//failure") is not None
    for name in ("evidence/repaired.jsonl", "report.pdf", "../../etc/passwd", "evidence/x.jsonl"):
        assert api.get(f"{path}/artifacts/{name}").status_code == 404, name


def test_flips_page_by_page(app: FastAPI, api: TestClient, path: str) -> None:
    finish(app, path.rsplit("/", 1)[1])
    flips, query = [], {"limit": 25}
    while True:
        page = api.get(f"{path}/flips", params=query).json()
        flips += page["data"]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    found = [flip["direction"] for flip in flips]
    assert [found.count(kind) for kind in ("worse", "fixed", "unscored")] == [60, 1, 1]
    assert len({flip["item"] for flip in flips}) == 62
    assert api.get(f"{path}/flips", params={"probe": "refusal.benign"}).json()["data"] == []


def test_items_and_their_text(app: FastAPI, api: TestClient, path: str, make_key: Any) -> None:
    finish(app, path.rsplit("/", 1)[1])
    items, query = [], {"limit": 100}
    while True:
        page = api.get(f"{path}/items", params=query).json()
        items += page["data"]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert len({(item["side"], item["item"]) for item in items}) == 240
    assert all(item["answer"] is None for item in items)
    one = {"limit": 1, "side": "candidate", "text": "true"}
    (told,) = api.get(f"{path}/items", params=one).json()["data"]
    assert (told["side"], told["answer"]) == ("candidate", {"text": "words"})
    reader = make_key("jobs:read", "jobs:write")
    assert api.get(f"{path}/items", params=one, headers=reader).status_code == 403


def test_foreign_cursors_are_refused(api: TestClient, path: str) -> None:
    for cursor in ("x", "W10=", "WzFd", "eyJhIjoxfQ==", "!"):
        for name in ("items", "flips"):
            reply = api.get(f"{path}/{name}", params={"cursor": cursor})
            assert reply.status_code == 422, (name, cursor)
    assert api.get(f"{path}/items", params={"sid": "candidate"}).status_code == 422


def test_catalogues(api: TestClient) -> None:
    probes = {probe["name"]: probe for probe in api.get("/v1/probes").json()["data"]}
    assert probes["harm.direct"]["items"]["demo"] == 160
    assert probes.keys() == CATALOGUE.keys()
    suites = {suite["name"]: suite for suite in api.get("/v1/suites").json()["data"]}
    assert suites["harmful"]["splits"]["screen"] == suites["harmful"]["splits"]["confirm"]
    judges = {judge["id"]: judge for judge in api.get("/v1/judges").json()["data"]}
    assert "harm.direct" in judges["refusal"]["probes"]
