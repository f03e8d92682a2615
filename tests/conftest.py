"""Real PostgreSQL, real Redis, and settings with a data folder of their own, for any test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
from sqlalchemy import Engine, make_url

from holdfast.db.migrate import upgrade
from holdfast.db.session import open_database
from holdfast.settings import Settings
from tests.support.servers import celery_url, postgres, redis_server, scratch_folder

# Several test processes share the cores, and tiny models gain nothing by a second thread: two that
# wait for each other after every product only take the others' time.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with scratch_folder() as folder, postgres(folder) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """The name of a migrated database to copy; 30 ms a copy, where migrating takes 300."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    upgrade(named(postgres_url, "migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    with scratch_folder() as folder:
        upgrade(f"sqlite:///{folder}/migrated.db")
        yield folder / "migrated.db"


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[Path]:
    with scratch_folder() as folder, redis_server(folder) as socket:
        yield socket


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder with a path short enough for unix sockets."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, home: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{home}/holdfast.db"
    else:
        yield from copied_database(request.getfixturevalue("postgres_url"), "template0")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, home: Path) -> Iterator[str]:
    """A migrated database of the test's own; the test runs once on each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), home / "holdfast.db")
        yield f"sqlite:///{home}/holdfast.db"
    else:
        template = request.getfixturevalue("postgres_template")
        yield from copied_database(request.getfixturevalue("postgres_url"), template)


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def broker_url(redis_socket: Path) -> str:
    """An empty broker."""
    with redis.Redis(unix_socket_path=str(redis_socket)) as client:
        client.flushall()
    return celery_url(redis_socket)


@pytest.fixture
def settings(home: Path, database_url: str, broker_url: str) -> Settings:
    """Settings of a stack of the test's own; checkpoints may lie in `home/models`."""
    (home / "models").mkdir()
    return Settings(
        home=home,
        database_url=database_url,
        broker_url=broker_url,
        checkpoint_roots=(home / "models",),
        engine="scripted",
        port=0,
        failed_keys_per_minute=100_000,  # all tests share one address
    )


def copied_database(server: str, template: str) -> Iterator[str]:
    name = f"t{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield named(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def named(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)
