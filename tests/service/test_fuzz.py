"""Every role under generated requests: no 5xx, nothing undocumented, nothing of another project.

Each role has a fresh database and the same seed every time; FUZZ_SEED is another one. What takes
longer is `make bench-fuzz`.
"""

import os
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

from holdfast.scopes import ROLES, Role
from holdfast.settings import Settings
from service.app import create_app
from tests.service.conftest import MakeKey
from tests.support.fuzz import UNLIMITED, fuzz
from tests.support.two_projects import Seeded, rows_of, seed_project

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SEED = int(os.environ.get("FUZZ_SEED", "2026"))
EXAMPLES = 8  # an operation; some forty operations
TELLING = 15  # operations at least that a key of any role gets texts of its project from


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    """The application, with no limit on how often it is asked."""
    app = create_app(settings.model_copy(update=UNLIMITED))
    yield app
    app.state.broker.close()
    app.state.database.dispose()


@pytest.fixture
def projects(app: FastAPI) -> tuple[Seeded, Seeded]:
    """The project of the key, and one that it must not see."""
    return seed_project(app, "demo"), seed_project(app, "other-project")


def test_the_other_project_has_a_row_in_every_table(
    app: FastAPI, projects: tuple[Seeded, Seeded]
) -> None:
    _, theirs = projects
    stored = rows_of(app.state.database, theirs)
    assert [table for table, rows in stored.items() if not rows] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_key_gets_what_is_documented_and_nothing_of_another_project(
    app: FastAPI, projects: tuple[Seeded, Seeded], role: Role
) -> None:
    _, theirs = projects
    before = rows_of(app.state.database, theirs)
    fuzzed = fuzz(app, projects, role, seed=SEED + [*ROLES].index(role), examples=EXAMPLES)
    assert not fuzzed.problems, f"FUZZ_SEED={SEED}\n\n" + "\n\n".join(
        f"{title}\n{text}" for title, text in fuzzed.problems.items()
    )
    assert rows_of(app.state.database, theirs) == before
    assert 401 not in fuzzed.statuses
    assert len(fuzzed.telling) >= TELLING, "what answers nothing shows nothing"


def test_a_stream_says_nothing_of_another_project(
    app: FastAPI, projects: tuple[Seeded, Seeded], make_key: MakeKey
) -> None:
    """Streams of jobs that have ended, since the others last as long as their job."""
    ours, theirs = projects
    headers = {**make_key("jobs:read", project=ours.name), "Accept": "text/event-stream"}
    for project, status in ((ours, 200), (theirs, 404)):
        for job in project.ended:
            kind = "evaluations" if job.startswith("eval") else "remediations"
            reply = TestClient(app).get(f"/v1/{kind}/{job}/events", headers=headers)
            assert reply.status_code == status
            assert (ours.mark in reply.text) == (status == 200)
            assert theirs.mark not in reply.text


def broken_off(number: int = 0) -> dict[str, int]:
    """Break off for about every second number."""
    return {"result": 1 // (number % 2)}


def in_order() -> dict[str, int]:
    """Say what is documented."""
    return {"result": 1}


def off_schema() -> Response:
    """Say something else than is documented."""
    return Response('{"result": "one"}', media_type="application/json")


def test_a_failure_a_false_reply_and_a_leak_are_each_found(
    app: FastAPI, projects: tuple[Seeded, Seeded]
) -> None:
    _, theirs = projects

    def leak() -> dict[str, str]:
        """Say what another project stored."""
        return {"reason": f"{theirs.mark} why"}

    def name() -> dict[str, str]:
        """Name a row of another project."""
        return {"id": theirs.ids["waiver_id"][0]}

    app.add_api_route("/broken/off", broken_off)
    app.add_api_route("/broken/schema", off_schema, response_model=dict[str, int])
    app.add_api_route("/broken/leak", leak)
    app.add_api_route("/broken/name", name)
    app.add_api_route("/broken/not", in_order)
    fuzzed = fuzz(app, projects, "read", seed=SEED, examples=EXAMPLES, paths="^/broken/")
    assert fuzzed.problems.keys() >= {
        "GET /broken/off: not_a_server_error",
        "GET /broken/off: status_code_conformance",
        "GET /broken/schema: response_schema_conformance",
        "GET /broken/leak: foreign_content",
        "GET /broken/name: foreign_content",
    }
    assert not [title for title in fuzzed.problems if title.startswith("GET /broken/not")]
