"""Alembic's entry: one transaction for the whole way, on SQLite and PostgreSQL alike.

Half an upgrade is never left behind: both databases can roll DDL back, SQLite because our engine
opens real transactions. A second process that upgrades at the same time waits (an advisory lock;
on SQLite the writer's lock). SQLite rebuilds a table to alter it, and dropping the old one would
cascade into its children as long as foreign keys are enforced: so they are off while we migrate
and checked before the commit.
"""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, Engine, event

from holdfast.db.documents import Document, ModelColumn
from holdfast.db.session import open_database
from holdfast.db.tables import Moment, TableRow
from holdfast.projects import tables as project_tables  # noqa: F401  # their metadata
from holdfast.settings import read_settings

UPGRADE_LOCK = 0x686F6C64  # "hold"; any constant would do
LOCK_TIMEOUT = "10s"  # an upgrade must not queue behind a long reader and stall everybody else


def render_type(kind: str, thing: Any, script: AutogenContext) -> str | Literal[False]:
    """Write our own types down as what they are: a migration must not change with our code."""
    if kind == "type" and isinstance(thing, Moment):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and (thing is Document or isinstance(thing, ModelColumn)):
        script.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def is_compared(_thing: Any, name: str | None, *_: Any) -> bool:
    """All but the index whose falling column SQLite does not report, so that it would differ."""
    return name != "ix_jobs_claim"


def open_for_migration(url: str) -> Engine:
    """An engine that leaves foreign keys alone until the commit."""
    engine = open_database(url)
    if engine.dialect.name == "sqlite":
        event.listen(
            engine, "connect", lambda dbapi, _record: dbapi.execute("PRAGMA foreign_keys=OFF")
        )
        event.listen(engine, "commit", check_foreign_keys)
    return engine


def check_foreign_keys(connection: Connection) -> None:
    """Refuse to commit a migration that leaves rows pointing at nothing."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        table, rowid, parent, _ = broken[0]
        raise RuntimeError(
            f"the migration would leave {len(broken)} rows without what they refer to, first "
            f"{table} row {rowid} -> {parent}; nothing was changed"
        )


def migrate(url: str) -> None:
    """Run what alembic was asked for, inside one transaction."""
    engine = open_for_migration(url)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
            context.configure(
                connection=connection,
                target_metadata=TableRow.metadata,
                render_as_batch=True,
                render_item=render_type,
                include_object=is_compared,
                compare_type=True,
                compare_server_default=True,
            )
            context.run_migrations()
    finally:
        engine.dispose()


migrate(context.config.attributes.get("url") or read_settings().database_url)
