"""Admission in children: the server answers meanwhile, and one that dies is one clear error."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from holdfast.settings import Settings
from service.admitting import OF_ONE_PROJECT, Admitting
from tests.service.conftest import MakeKey
from tests.support.checkpoint_files import safetensors, sound_checkpoint

Posts = Callable[[int], list[Future[Any]]]

ENDLESS = 1 << 38  # bytes that are hashed: minutes, and the test ends them
WAITING = 8  # of one project
DEADLINE = 60  # seconds until a test that waits in vain fails


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_admissions": 2 * WAITING})


@pytest.fixture
def endless(models: Path) -> Path:
    """A sound folder whose weights are sparse, and far longer to read than a test may last."""
    folder = sound_checkpoint(models / "endless")
    header = {"a": {"dtype": "U8", "shape": [ENDLESS], "data_offsets": [0, ENDLESS]}}
    start = safetensors(header, b"")
    with (folder / "model.safetensors").open("wb") as file:
        file.write(start)
        file.truncate(len(start) + ENDLESS)
    return folder


@pytest.fixture
def admitting(app: FastAPI) -> Admitting:
    found: Admitting = app.state.admitting
    return found


@pytest.fixture
def posts(api: TestClient, admitting: Admitting, endless: Path) -> Iterator[Posts]:
    """Requests that register the endless folder, once the project's turns are taken."""
    with ThreadPoolExecutor(OF_ONE_PROJECT + WAITING + 1) as threads:

        def post(count: int) -> list[Future[Any]]:
            asked = [
                threads.submit(api.post, "/v1/checkpoints", json={"uri": str(endless)})
                for _ in range(count)
            ]
            wait_for(lambda: len(admitting.children) == min(count, OF_ONE_PROJECT))
            return asked

        yield post
        admitting.close()


def wait_for(holds: Callable[[], bool]) -> None:
    """Until a condition holds."""
    until = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.01)


def test_the_server_answers_while_ten_folders_are_admitted(
    api: TestClient, posts: Posts, admitting: Admitting, body: dict[str, str]
) -> None:
    asked = posts(10)
    assert api.get("/healthz").json() == {"status": "alive"}
    assert api.get("/readyz").json()["database"] == "up"
    assert api.get("/v1/evaluations").status_code == 200
    assert len(admitting.children) == OF_ONE_PROJECT
    ended = [post.result().json() for post in asked if post.done()]
    assert ended == [], "all of it came before an admission ended"
    admitting.close()
    replies = [post.result() for post in asked]
    assert [reply.json() for reply in replies if reply.status_code != 503] == []
    assert {reply.json()["title"] for reply in replies} == {"Unreachable"}


def test_another_projects_folder_has_a_turn_whatever_one_project_sends(
    api: TestClient, posts: Posts, models: Path, make_key: MakeKey
) -> None:
    asked = posts(OF_ONE_PROJECT + WAITING)
    other = make_key("jobs:read", "jobs:write", project="other")
    made = api.post("/v1/checkpoints", json={"uri": str(models / "base")}, headers=other)
    assert made.status_code == 201
    assert not [post for post in asked if post.done()]


def test_one_more_than_may_wait_is_asked_to_come_again(posts: Posts) -> None:
    asked = posts(OF_ONE_PROJECT + WAITING + 1)
    refused, waiting = wait(asked, timeout=DEADLINE, return_when=FIRST_COMPLETED)
    assert (len(refused), len(waiting)) == (1, OF_ONE_PROJECT + WAITING)
    reply = refused.pop().result()
    assert (reply.status_code, reply.json()["title"]) == (503, "Unreachable")
    assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("number", "status", "says"),
    [
        (signal.SIGKILL, 503, "ended with -9 and no answer"),
        (signal.SIGALRM, 422, "could not be read in a minute"),
    ],
)
def test_a_child_that_is_ended_is_one_error_and_the_next_is_another_child(
    api: TestClient,
    posts: Posts,
    admitting: Admitting,
    models: Path,
    number: signal.Signals,
    status: int,
    says: str,
) -> None:
    (asked,) = posts(1)
    (child,) = admitting.children
    os.kill(child.pid, number)
    reply = asked.result()
    assert (reply.status_code, says in reply.json()["detail"]) == (status, True)
    good = api.post("/v1/checkpoints", json={"uri": str(models / "base")})
    assert good.status_code == 201
    wait_for(lambda: not admitting.children)


def test_a_child_knows_no_secret(
    monkeypatch: pytest.MonkeyPatch, posts: Posts, admitting: Admitting
) -> None:
    monkeypatch.setenv("HOLDFAST_KEY_PEPPER", "pepper")
    monkeypatch.setenv("PGPASSWORD", "password")
    posts(1)
    (child,) = admitting.children
    environment = Path(f"/proc/{child.pid}/environ").read_text(encoding="utf-8")
    assert "PATH=" in environment
    assert not [word for word in ("HOLDFAST_", "pepper", "password") if word in environment]


def test_a_child_loads_neither_service_nor_database() -> None:
    program = "import holdfast.admitting, sys, json; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    rooms = {name.partition(".")[0] for name in json.loads(loaded.stdout)}
    assert not rooms & {"service", "sqlalchemy", "fastapi", "celery", "redis", "torch"}


def test_children_end_with_the_application(
    app: FastAPI, settings: Settings, endless: Path, admitting: Admitting
) -> None:
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(admitting.checkpoint, "demo", str(endless), None)
        with TestClient(app):
            wait_for(lambda: len(admitting.children) == 1)
        with pytest.raises(Exception, match="ended with -9"):
            asked.result()
    assert not admitting.children
