"""A database in which jobs can be queued at once; on PostgreSQL, tests take turns on one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import Engine

from tests.conftest import copied_database
from tests.holdfast.db.rows import add_checkpoint, add_evaluation, add_policy

TABLES = """
    SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


@pytest.fixture(scope="session")
def shared_postgres_url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    yield from copied_database(postgres_url, postgres_template)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, home: Path) -> Iterator[str]:
    """A migrated database without rows; emptying one takes a tenth of what a copy does."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), home / "holdfast.db")
        yield f"sqlite:///{home}/holdfast.db"
    else:
        url = request.getfixturevalue("shared_postgres_url")
        yield url
        with psycopg.connect(url) as connection:
            # past foreign keys, and past triggers that refuse to delete what was audited
            connection.execute("SET LOCAL session_replication_role = replica")
            for (table,) in connection.execute(TABLES).fetchall():
                connection.execute(SQL("DELETE FROM {}").format(Identifier(table)))


@pytest.fixture
def filled(database: Engine) -> Engine:
    """Holds the checkpoint `c` and the policy `pol` of the project `p`."""
    add_checkpoint(database, "c")
    add_policy(database, "pol")
    return database


@pytest.fixture
def job_id(filled: Engine) -> str:
    """An evaluation that waits in the queue `cpu`."""
    return add_evaluation(filled)
