"""A service that is killed in mid-request: every act is there with its record, or neither is.

`KILLS=200 pytest …` kills it as often on each database; 16 times in the suite. The moments
are drawn from SEED, which a failure names.
"""

import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from holdfast.db.session import reading
from holdfast.db.tables import ApiKey, BaselineMove, CheckpointRow, JobRow, PolicyText
from holdfast.projects.audit import all_events, head_of
from holdfast.projects.chain import verify
from holdfast.projects.tables import WaiverRow
from holdfast.scopes import SCOPES
from holdfast.settings import Settings
from tests.service.conftest import MakeKey
from tests.service.test_results import POLICY, finish
from tests.support.command import document, holdfast
from tests.support.service_process import service_process

KILLS = int(os.environ.get("KILLS", "16"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
PROJECTS = ("ours", "theirs")
CLIENTS = 3  # of each project
ANSWERS, LATER = 12, 0.05  # at most so many come, and so many seconds go by, before a kill
PATIENCE = 60.0

Done = list[tuple[str, str]]  # acts, each with what it was done to


@dataclass
class Client:
    """One client: its connection, what it may act on, what was answered, how often nothing was."""

    http: httpx.Client
    project: str
    sides: dict[str, str]
    chance: random.Random
    done: Done = field(default_factory=list)
    cut_off: int = 0

    @property
    def key(self) -> str:
        """The API key that it sends."""
        return self.http.headers["Authorization"].removeprefix("Bearer ")

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Send a request, every other time with an Idempotency-Key."""
        headers = {"Idempotency-Key": uuid4().hex} if self.chance.random() < 0.5 else {}
        return self.http.post(path, json=body, headers=headers)

    def post_to_any(self, action: str, path: str) -> httpx.Response | None:
        """Send a request about one of the rows that an act of this client made, if any did."""
        targets = [target for name, target in self.done if name == action]
        return self.post(path.format(self.chance.choice(targets))) if targets else None


def submit(client: Client) -> httpx.Response:
    return client.post("/v1/evaluations", client.sides | {"tier": "demo"})


def create_key(client: Client) -> httpx.Response:
    return client.post("/v1/keys", {"name": "killed", "roles": ["submit"]})


def give_waiver(client: Client) -> httpx.Response:
    expires = datetime.now(UTC) + timedelta(days=1)
    body = {"checkpoint": client.sides["candidate"], "check": "harm.direct", "reason": "known"}
    return client.post("/v1/waivers", body | {"expires_at": expires.isoformat()})


def save_policy(client: Client) -> httpx.Response:
    text = POLICY.replace("name: harm", f"name: n{uuid4().hex}")
    return client.post("/v1/policies", {"text": text})


def move_baseline(client: Client) -> httpx.Response:
    path = f"/v1/projects/{client.project}/baselines/production"
    body = {"checkpoint": client.sides[client.chance.choice(("candidate", "baseline"))]}
    return client.http.put(path, json=body, headers={"If-Match": "*"})


ACTS: dict[str, Callable[[Client], httpx.Response | None]] = {
    "evaluation.submit": submit,
    "evaluation.cancel": lambda c: c.post_to_any("evaluation.submit", "/v1/evaluations/{}:cancel"),
    "key.create": create_key,
    "key.revoke": lambda c: c.post_to_any("key.create", "/v1/keys/{}:revoke"),
    "waiver.give": give_waiver,
    "waiver.revoke": lambda c: c.post_to_any("waiver.give", "/v1/waivers/{}:revoke"),
    "policy.save": save_policy,
    "baseline.move": move_baseline,
}


def is_done(client: Client, action: str) -> bool:
    """Act; whether that was accepted, which is noted with the row that it made or changed."""
    reply = ACTS[action](client)
    if reply is None or not reply.is_success:
        return False
    row = reply.json()
    moved = action == "baseline.move"
    client.done.append((action, f"{row['alias']} {row['version']}" if moved else row["id"]))
    return True


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"writes_per_minute": 10**6, "max_jobs": 10**6})


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def clients(
    app: FastAPI, api: TestClient, models: Path, make_key: MakeKey, bound: socket.socket
) -> Iterator[list[Client]]:
    """Clients of each project, with an admin's key that was made on the server and so is no act."""
    url = "http://{}:{}".format(*bound.getsockname())
    keys = {project: make_key(*SCOPES, project=project) for project in PROJECTS}
    sides = {name: prepared(app, api, models, name, headers) for name, headers in keys.items()}
    with ExitStack() as stack:
        yield [
            Client(
                stack.enter_context(
                    httpx.Client(
                        base_url=url, headers=keys[name], timeout=PATIENCE, trust_env=False
                    )
                ),
                name,
                sides[name],
                random.Random(SEED + number),
            )
            for number, name in enumerate(PROJECTS * CLIENTS)
        ]


def prepared(
    app: FastAPI, api: TestClient, models: Path, project: str, headers: dict[str, str]
) -> dict[str, str]:
    """A project's checkpoints and policy by id; `production` points at the baseline."""

    def post(path: str, body: dict[str, Any]) -> str:
        return str(api.post(path, json=body, headers=headers).raise_for_status().json()["id"])

    sides = {
        side: post("/v1/checkpoints", {"uri": str(models / name)})
        for side, name in (("candidate", "tuned"), ("baseline", "base"))
    }
    sides["policy"] = post("/v1/policies", {"text": POLICY})
    alias = f"/v1/projects/{project}/baselines/production"
    api.put(alias, json={"checkpoint": sides["baseline"]}, headers=headers).raise_for_status()
    finish(app, post("/v1/evaluations", sides | {"tier": "demo"}))
    return sides


def act_until(ended: threading.Event, answers: threading.Semaphore, client: Client) -> None:
    """All kinds of acts in turn, in an order by chance; after one cut off, another of its kind."""
    actions = cycle(client.chance.sample(list(ACTS), len(ACTS)))
    action = next(actions)
    while not ended.is_set():
        try:
            if is_done(client, action):
                answers.release()
            action = next(actions)
        except httpx.TransportError:
            client.cut_off += 1


def killed_again_and_again(settings: Settings, bound: socket.socket, clients: list[Client]) -> None:
    """Life after life of the service, each ended with SIGKILL while the clients act."""
    chance, ended, answers = random.Random(SEED), threading.Event(), threading.Semaphore(0)
    with ThreadPoolExecutor(len(clients)) as threads:
        acting = [threads.submit(act_until, ended, answers, client) for client in clients]
        try:
            for _ in range(KILLS):
                with service_process(settings, bound) as process:
                    while answers.acquire(blocking=False):
                        pass  # it came of the life before
                    for _ in range(chance.randint(1, ANSWERS)):
                        assert answers.acquire(timeout=PATIENCE)
                    process.join(chance.uniform(0.0, LATER))
                    assert process.exitcode is None, "it ended by itself, and so showed nothing"
            ended.set()
            with service_process(settings, bound):  # which answers what was sent meanwhile
                for client in acting:
                    client.result(PATIENCE)
        finally:
            ended.set()


def acts_in_rows(session: Session, project: str) -> Done:
    """Every act of a project that left a row."""

    def ids(row: Any, *where: ColumnElement[bool]) -> list[str]:
        return list(session.scalars(select(row.id).where(row.project == project, *where)))

    moves = select(BaselineMove).where(BaselineMove.project == project)
    targets = {
        "checkpoint.register": ids(CheckpointRow),
        "policy.save": ids(PolicyText),
        "evaluation.submit": ids(JobRow, JobRow.kind == "evaluation"),
        "evaluation.cancel": ids(JobRow, JobRow.status == "canceled"),
        "key.create": ids(ApiKey, ApiKey.minted_by.is_not(None)),
        "key.revoke": ids(ApiKey, ApiKey.revoked_at.is_not(None)),
        "waiver.give": ids(WaiverRow),
        "waiver.revoke": ids(WaiverRow, WaiverRow.revoked_at.is_not(None)),
        "baseline.move": [f"{row.alias} {row.version}" for row in session.scalars(moves)],
    }
    return [(action, target) for action in targets for target in targets[action]]


def acts_in_trail(session: Session, project: str) -> Done:
    """Every act that a project's trail has, which has to be whole."""
    events = list(all_events(session, project))
    assert verify(project, events) == head_of(session, project)
    return [(event["action"], target_of(event)) for event in events]


def target_of(event: dict[str, Any]) -> str:
    """What an act was done to; of an alias that is moved again and again, the version too."""
    if event["action"] == "baseline.move":
        return f"{event['target']} {event['after']['version']}"
    return str(event["target"])


@pytest.mark.timeout(120 + 5 * KILLS)
def test_a_kill_never_leaves_an_act_without_its_record_or_a_record_without_its_act(
    app: FastAPI,
    settings: Settings,
    bound: socket.socket,
    clients: list[Client],
    tmp_path: Path,
) -> None:
    killed_again_and_again(settings, bound, clients)
    cut_off = sum(client.cut_off for client in clients)
    assert cut_off >= KILLS, f"SEED={SEED}: a kill has to meet a request, and {cut_off} were met"
    assert {action for client in clients for action, _ in client.done} == set(ACTS)
    for project in PROJECTS:
        with reading(app.state.database) as session:
            rows, trail = acts_in_rows(session, project), acts_in_trail(session, project)
        answered = {done for client in clients if client.project == project for done in client.done}
        assert Counter(trail) == Counter(rows), f"SEED={SEED}, {project}"
        assert answered <= set(rows), "what was answered is there"
    with service_process(settings, bound):
        for client in clients[: len(PROJECTS)]:
            words, url = ("audit", "verify", "--json"), client.http.base_url
            done = holdfast(*words, cwd=tmp_path, server=url, api_key=client.key)
            assert (done.returncode, document(done)["whole"]) == (0, True), done.stderr
