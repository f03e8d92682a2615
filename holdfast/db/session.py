"""One transaction at a time, and hints that are sent only after it has committed.

SQLite runs in WAL with `BEGIN IMMEDIATE`: a deferred transaction that reads and then writes can
meet a BUSY that no waiting cures. One engine per process, created after fork or spawn.

Every text and every document goes through `holdfast.storable` here, whatever its column, and every
error of the database leaves here without statement and values: rows, logs and replies quote errors.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    ExceptionContext,
    String,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, StatementError
from sqlalchemy.orm import DeclarativeBase, Session

from holdfast import storable

AFTER_COMMIT = "after_commit"
PATIENCE = {  # with a PostgreSQL that is gone without a word; a URL's own go before them
    "connect_timeout": 10,  # seconds, as those of keepalives
    "tcp_user_timeout": 20_000,  # milliseconds until what was sent must be acknowledged
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
JSON_FORM = {"json_serializer": storable.dumps, "json_deserializer": storable.loads}


class StoredText(String):
    """The type that texts of any column have on the way to a database and back."""

    render_bind_cast = True  # as psycopg's own

    def bind_processor(self, _dialect: Dialect) -> Callable[[str | None], str | None]:
        """Escape the characters that no database can hold."""
        return lambda text: None if text is None else storable.escape(text)

    def result_processor(
        self, _dialect: Dialect, _column: object
    ) -> Callable[[str | None], str | None]:
        """Undo it."""
        return lambda text: None if text is None else storable.unescape(text)


def open_database(url: str) -> Engine:
    """An engine for SQLite (WAL, full synchronous) or PostgreSQL (psycopg 3)."""
    if url.startswith("sqlite"):
        engine = _open_sqlite(url)
    else:
        limits = {"pool_size": 10, "max_overflow": 5, "pool_pre_ping": True}
        asked = make_url(url).query
        patience = {name: seconds for name, seconds in PATIENCE.items() if name not in asked}
        engine = create_engine(
            url, hide_parameters=True, connect_args=patience, **JSON_FORM, **limits
        )
    engine.dialect.colspecs = {**engine.dialect.colspecs, String: StoredText}
    event.listen(engine, "handle_error", _forget_values)
    return engine


def _forget_values(context: ExceptionContext) -> None:
    """Leave of an error the line that names it: the server's other lines quote what was sent."""
    error = context.sqlalchemy_exception
    if not isinstance(error, StatementError):
        return
    error.statement = error.params = None
    kind, _, message = str(error.args[0]).partition("\n")[0].partition(" ")
    error.args = (kind if isinstance(error, DataError) else f"{kind} {message}",)
    context.original_exception.args = error.args


def _open_sqlite(url: str) -> Engine:
    _make_private_file(Path(make_url(url).database or ":memory:"))
    engine = create_engine(url, hide_parameters=True, **JSON_FORM)

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


def _make_private_file(path: Path) -> None:
    """Make the file of a new database, which no other user may read; one that is there stays so.

    SQLite gives `-wal` and `-shm` the mode of the file that they belong to.
    """
    if str(path) == ":memory:":
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(OSError):  # it is there already, or SQLite will say why it cannot be
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


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


def keep_rows(session: Session) -> None:
    """Hold what the session loads or adds until its end, so that no row is read twice by its key.

    Without, a row that nobody refers to any more is forgotten and read again. For sessions of few
    rows.
    """
    kept: list[object] = session.info.setdefault("rows", [])
    for moment in ("loaded_as_persistent", "pending_to_persistent"):
        event.listen(session, moment, lambda _session, row: kept.append(row))


def after_commit(session: Session, send: Callable[[], None]) -> None:
    """Run `send` once the session's transaction has committed; never if it rolls back."""
    session.info.setdefault(AFTER_COMMIT, []).append(send)
