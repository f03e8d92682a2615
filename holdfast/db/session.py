"""One transaction at a time, and hints that are sent only after it has committed.

SQLite runs in WAL with `BEGIN IMMEDIATE`: a deferred transaction that reads and then writes can
meet a BUSY that no waiting cures. One engine per process, created after fork or spawn.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

AFTER_COMMIT = "after_commit"


def open_database(url: str) -> Engine:
    """An engine for SQLite (WAL, full synchronous) or PostgreSQL (psycopg 3)."""
    if url.startswith("sqlite"):
        return _open_sqlite(url)
    return create_engine(url, pool_size=10, max_overflow=5, pool_pre_ping=True)


def _open_sqlite(url: str) -> Engine:
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def set_pragmas(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.isolation_level = None  # the driver must not open transactions itself
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # NORMAL may drop committed transactions on power loss
            "foreign_keys=ON",
            "busy_timeout=30000",
            "journal_size_limit=67108864",
        ):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def insert_into(
    session: Session, table: type[DeclarativeBase]
) -> postgresql.Insert | sqlite.Insert:
    """An INSERT in the database's own dialect, which knows ON CONFLICT; the same in both."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session that commits at the end; what `after_commit` collected runs after that."""
    with Session(engine, expire_on_commit=False) as session:
        with session.begin():
            yield session
        for send in session.info.pop(AFTER_COMMIT, []):
            send()


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session for reads alone; on SQLite it does not take the writer's lock."""
    deferred = engine.execution_options(sqlite_begin="DEFERRED")
    with Session(deferred, expire_on_commit=False) as session:
        yield session


def after_commit(session: Session, send: Callable[[], None]) -> None:
    """Run `send` once the session's transaction has committed; never if it rolls back."""
    session.info.setdefault(AFTER_COMMIT, []).append(send)
