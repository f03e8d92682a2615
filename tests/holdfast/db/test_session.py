"""Transactions: all or nothing, hints after the commit, and readers that nobody waits for."""

import os
import re
import socket
import sqlite3
import stat
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from holdfast.db.session import (
    PATIENCE,
    after_commit,
    insert_into,
    open_database,
    reading,
    transaction,
)
from holdfast.db.tables import AnswerRow, PolicyText
from tests.holdfast.db.rows import ON_POSTGRES, ON_SQLITE, ago


def answer(key: str = "k", **document: Any) -> AnswerRow:
    return AnswerRow(key=key, checkpoint_digest="d", document=document, created_at=ago(0))


def keys(database: Engine) -> list[str]:
    with reading(database) as session:
        return sorted(session.scalars(select(AnswerRow.key)))


# --- opening --------------------------------------------------------------------------------


@ON_SQLITE
@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # full
        ("foreign_keys", 1),
        ("busy_timeout", 30_000),
        ("journal_size_limit", 64 * 2**20),
    ],
)
def test_sqlite_is_set_up_on_every_connection(
    database: Engine, pragma: str, value: str | int
) -> None:
    with reading(database) as first, reading(database) as second:
        values = [session.scalar(text(f"PRAGMA {pragma}")) for session in (first, second)]
    assert values == [value, value]


def test_a_database_in_a_folder_that_is_not_there_yet(home: Path) -> None:
    engine = open_database(f"sqlite:///{home}/new/folder/holdfast.db")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()
    assert (home / "new" / "folder" / "holdfast.db").is_file()


@pytest.fixture
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_usual_umask")
def test_a_new_database_is_its_users_alone(home: Path) -> None:
    engine = open_database(f"sqlite:///{home}/new/holdfast.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
        files = (home / "new").iterdir()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (home / "new", *files)}
    engine.dispose()
    assert modes.pop("new") == 0o700
    assert modes == dict.fromkeys(["holdfast.db", "holdfast.db-wal", "holdfast.db-shm"], 0o600)


@pytest.mark.usefixtures("_usual_umask")
def test_the_mode_of_a_database_that_is_there_is_the_operators(home: Path) -> None:
    (home / "holdfast.db").touch(mode=0o640)
    engine = open_database(f"sqlite:///{home}/holdfast.db")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()
    assert stat.S_IMODE((home / "holdfast.db").stat().st_mode) == 0o640


@ON_POSTGRES
def test_a_connection_that_the_server_closed_is_replaced(
    database: Engine, database_url: str
) -> None:
    with database.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
    with psycopg.connect(database_url, autocommit=True) as other:
        ended = other.execute("SELECT pg_terminate_backend(%s, 20000)", (process,)).fetchone()
    assert ended == (True,)
    with database.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != process


# --- values that no database holds, and errors without values -------------------------------

SECRET = "swordfish"
ODD = "\0 and \ud800\udfff and \u241b0000"


def test_texts_of_every_kind_of_column_come_back_as_they_were(database: Engine) -> None:
    """Also where somebody looks for them, and in statements that are no ORM's."""
    words = {"id": "pol_1", "project": ODD, "name": ODD, "digest": "d", "text": ODD}
    with transaction(database) as session:
        session.execute(insert_into(session, PolicyText).values(**words, created_at=ago(0)))
    with reading(database) as session:
        row = session.scalars(select(PolicyText).where(PolicyText.name == ODD)).one()
        columns = session.execute(select(PolicyText.text, PolicyText.project)).one()
    assert (row.text, *columns) == (ODD, ODD, ODD)


def test_a_number_that_is_not_finite_is_stored_as_null(database: Engine) -> None:
    with transaction(database) as session:
        session.add(answer("a", loss=float("nan"), bounds=[float("inf")]))
    with reading(database) as session:
        assert session.get_one(AnswerRow, "a").document == {"loss": None, "bounds": [None]}


def test_an_error_says_what_is_wrong_and_nothing_that_was_sent(database: Engine) -> None:
    row = {"key": SECRET, "checkpoint_digest": "d", "document": {"text": SECRET}}

    def save_twice() -> None:
        with transaction(database) as session:
            for _ in range(2):
                session.execute(insert(AnswerRow).values(**row, created_at=ago(0)))

    with pytest.raises(IntegrityError) as raised:
        save_twice()
    text = "".join(traceback.format_exception(raised.value))
    assert re.search(r"answers\.key|pk_answers", str(raised.value))
    assert SECRET not in text
    assert "INSERT" not in str(raised.value)


@ON_POSTGRES
def test_a_value_that_a_type_refuses_is_not_quoted(database: Engine) -> None:
    with pytest.raises(DataError) as raised, reading(database) as session:
        session.execute(text("SELECT CAST(:word AS integer)"), {"word": SECRET})
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert "InvalidTextRepresentation" in str(raised.value)


# --- transactions ---------------------------------------------------------------------------


def test_a_transaction_is_kept_whole(database: Engine) -> None:
    with transaction(database) as session:
        session.add_all([answer("a"), answer("b")])
    assert keys(database) == ["a", "b"]


def test_an_error_undoes_all_of_it_and_goes_on(database: Engine) -> None:
    def fail() -> None:
        with transaction(database) as session:
            session.add(answer("a"))
            session.flush()
            raise LookupError("half way")

    with pytest.raises(LookupError, match="half way"):
        fail()
    assert keys(database) == []


def test_a_commit_that_is_refused_undoes_all_of_it(database: Engine) -> None:
    with transaction(database) as session:
        session.add(answer("b"))
    with pytest.raises(IntegrityError), transaction(database) as session:
        session.add_all([answer("a"), answer("b")])  # flushed by the commit
    assert keys(database) == ["b"]


def test_rows_are_readable_after_their_session(database: Engine) -> None:
    with transaction(database) as session:
        session.add(row := answer("a", text="words"))
    assert (row.key, row.document) == ("a", {"text": "words"})
    with reading(database) as session:
        read = session.get_one(AnswerRow, "a")
    assert read.document == {"text": "words"}


@ON_SQLITE
def test_a_transaction_is_the_writer_from_its_beginning(database: Engine) -> None:
    """A deferred one that reads and then writes can meet a BUSY that no waiting cures."""
    with transaction(database) as session:
        assert session.scalars(select(AnswerRow)).all() == []
        other = sqlite3.connect(str(database.url.database), timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


# --- reading --------------------------------------------------------------------------------


def test_readers_see_what_was_committed_while_somebody_writes(database: Engine) -> None:
    with transaction(database) as session:
        session.add(answer("a"))
    with transaction(database) as writer:
        writer.add(answer("b"))
        writer.flush()
        assert keys(database) == ["a"]
    assert keys(database) == ["a", "b"]


@ON_SQLITE
def test_a_reader_keeps_nobody_from_writing(database: Engine) -> None:
    with reading(database) as reader:
        assert reader.scalars(select(AnswerRow)).all() == []
        with transaction(database) as session:
            session.add(answer("a"))
        assert reader.scalars(select(AnswerRow)).all() == []  # as of its beginning
    assert keys(database) == ["a"]


def test_what_a_reader_writes_is_not_kept(database: Engine) -> None:
    with reading(database) as session:
        session.add(answer("a"))
        session.flush()
    assert keys(database) == []


def test_reading_changes_nothing_about_later_transactions(database: Engine) -> None:
    modes: list[str] = []
    if database.dialect.name == "sqlite":
        event.listen(
            database, "before_cursor_execute", lambda *arguments: modes.append(arguments[2])
        )
    with reading(database) as session:
        session.scalars(select(AnswerRow)).all()
    with transaction(database) as session:
        session.add(answer("a"))
    assert keys(database) == ["a"]
    begins = [statement for statement in modes if statement.startswith("BEGIN")]
    expected = ["BEGIN DEFERRED", "BEGIN IMMEDIATE", "BEGIN DEFERRED"]
    assert begins == (expected if database.dialect.name == "sqlite" else [])


# --- after the commit -----------------------------------------------------------------------


def test_hints_are_sent_in_order_and_after_the_commit(database: Engine) -> None:
    sent: list[tuple[str, list[str]]] = []
    with transaction(database) as session:
        session.add(answer("a"))
        for name in ("first", "second"):
            after_commit(session, lambda name=name: sent.append((name, keys(database))))  # type: ignore[misc]
        assert sent == []
    assert sent == [("first", ["a"]), ("second", ["a"])]


def test_no_hint_is_sent_for_what_was_undone(database: Engine) -> None:
    sent: list[int] = []

    def fail() -> None:
        with transaction(database) as session:
            after_commit(session, lambda: sent.append(1))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert sent == []


def test_no_hint_is_sent_where_the_commit_is_refused(database: Engine) -> None:
    sent: list[int] = []

    def write() -> None:
        with transaction(database) as session:
            session.add(answer("a"))
            after_commit(session, lambda: sent.append(1))

    write()
    with pytest.raises(IntegrityError):
        write()
    assert sent == [1]


def test_a_hint_is_sent_once_and_not_by_the_next_transaction(database: Engine) -> None:
    sent: list[int] = []
    for number in range(2):
        with transaction(database) as session:
            after_commit(session, lambda number=number: sent.append(number))  # type: ignore[misc]
    assert sent == [0, 1]


def test_a_hint_that_fails_undoes_nothing(database: Engine) -> None:
    def fail() -> None:
        raise ConnectionError("no broker")

    def write() -> None:
        with transaction(database) as session:
            session.add(answer("a"))
            after_commit(session, fail)

    with pytest.raises(ConnectionError, match="no broker"):
        write()
    assert keys(database) == ["a"]


def test_readers_send_nothing(database: Engine) -> None:
    sent: list[int] = []
    with reading(database) as session:
        after_commit(session, lambda: sent.append(1))
    assert sent == []


# --- inserting once -------------------------------------------------------------------------


def test_an_insert_is_in_the_dialect_of_the_database(database: Engine) -> None:
    dialects = {"sqlite": sqlite.Insert, "postgresql": postgresql.Insert}
    with reading(database) as session:
        assert type(insert_into(session, AnswerRow)) is dialects[database.dialect.name]


def test_an_insert_may_pass_over_what_is_there(database: Engine) -> None:
    written = []
    for text_of in ("first", "second"):
        values = {"key": "k", "checkpoint_digest": "d", "created_at": ago(0)}
        with transaction(database) as session:
            statement = insert_into(session, AnswerRow).values(**values, document={"text": text_of})
            returned = statement.on_conflict_do_nothing().returning(AnswerRow.key)
            written.append(session.scalars(returned).one_or_none())
    assert written == ["k", None]
    with reading(database) as session:
        assert session.get_one(AnswerRow, "k").document == {"text": "first"}


def test_a_postgresql_that_says_nothing_is_given_up_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = open_database(f"postgresql+psycopg://u@127.0.0.1:{port}/d?connect_timeout=2")
        with pytest.raises(OperationalError, match="timeout"), reading(database) as session:
            session.execute(text("SELECT 1"))
        database.dispose()


def test_how_long_a_postgresql_is_waited_for_can_be_said_in_its_url(
    shared_postgres_url: str,
) -> None:
    database = open_database(f"{shared_postgres_url}&keepalives_idle=7")
    with database.connect() as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()
    database.dispose()
    assert {name: parameters[name] for name in PATIENCE} == {
        **{name: str(value) for name, value in PATIENCE.items()},
        "keepalives_idle": "7",
    }
