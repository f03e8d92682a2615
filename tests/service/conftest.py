"""The real application on a real database and broker, called in process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import transaction
from holdfast.scopes import SCOPES
from holdfast.settings import Settings
from service.app import create_app
from tests.support.folders import write_checkpoint

MakeKey = Callable[..., dict[str, str]]


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    app = create_app(settings)
    yield app
    app.state.broker.close()
    app.state.database.dispose()


@pytest.fixture
def make_key(app: FastAPI, settings: Settings) -> MakeKey:
    """Headers of a new key: `make_key("jobs:read", project="other")`."""

    def make(*scopes: str, project: str = "demo", **also: Any) -> dict[str, str]:
        with transaction(app.state.database) as session:
            made = create_key(
                session, read_pepper(settings), project, name="test", scopes=scopes, **also
            )
        return {"Authorization": f"Bearer {made.token}"}

    return make


@pytest.fixture
def api(app: FastAPI, make_key: MakeKey) -> Iterator[TestClient]:
    """A client with a key that may do everything."""
    place = ("192.0.2.7", 50_000)
    with TestClient(app, raise_server_exceptions=False, client=place) as client:
        client.headers.update(make_key(*SCOPES))
        yield client


@pytest.fixture
def models(settings: Settings) -> Path:
    """Two checkpoints, `base` and `tuned`, under the server's root."""
    folder = settings.home / "models"
    write_checkpoint(folder / "base")
    write_checkpoint(folder / "tuned", value=1.0)
    return folder


@pytest.fixture
def body(models: Path) -> dict[str, Any]:
    """A good evaluation request."""
    return {
        "candidate": str(models / "tuned"),
        "baseline": str(models / "base"),
        "policy": "demo",
        "tier": "demo",
    }
