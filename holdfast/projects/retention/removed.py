"""One run of pruning, and how much it removes: rows, files and bytes."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, Text, cast, delete, func, select
from sqlalchemy.orm import Session

from holdfast.db.session import reading, transaction
from holdfast.db.tables import TableRow
from holdfast.projects.audit import Actor


@dataclass(frozen=True, slots=True)
class Removed:
    """An amount; the bytes of rows are the characters of their columns as text."""

    rows: int = 0
    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        """Both together."""
        return Removed(self.rows + other.rows, self.files + other.files, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much of each kind was removed (None: it is kept for ever), and what could not be."""

    amounts: dict[str, Removed | None]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One kind in one run: what finished or was stored earlier than `before` is removed."""

    database: Engine
    home: Path
    before: datetime
    dry_run: bool
    problems: list[str] = field(default_factory=list)

    def session(self) -> AbstractContextManager[Session]:
        """A transaction; in a dry run a session that only reads."""
        return reading(self.database) if self.dry_run else transaction(self.database)


def size_of_rows(session: Session, table: type[TableRow], where: ColumnElement[bool]) -> Removed:
    """The rows of a table that fit a condition."""
    lengths = [
        func.coalesce(func.length(cast(column, Text)), 0) for column in table.__table__.columns
    ]
    size = func.coalesce(func.sum(sum(lengths[1:], start=lengths[0])), 0)
    query = select(func.count(), size).select_from(table).where(where)
    rows, total = session.execute(query).one()
    return Removed(rows=rows, bytes=int(total))


def delete_rows(session: Session, table: type[TableRow], where: ColumnElement[bool]) -> None:
    """Delete the rows of a table that fit a condition."""
    session.execute(delete(table).where(where).execution_options(synchronize_session=False))


def operator_of(project: str) -> Actor:
    """Whoever runs a command on the server, as an actor in a project."""
    return Actor(project, None, authenticated="operator")
