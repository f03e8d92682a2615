"""The schema's revision: bring a database to the newest one, or refuse to work on another.

Revisions are written in `migrations/`, which lies beside the packages in a checkout and inside
this one in a wheel. Nothing upgrades by itself: `holdfast migrate` does, and the embedded stack
when it starts.
"""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, column, select, table
from sqlalchemy.orm import Session

from holdfast.db.session import open_database
from holdfast.errors import InvalidSettings

PACKAGE = Path(__file__).parents[1]


def config(url: str) -> Config:
    """Alembic's configuration for one database, without a file."""
    built = Config()
    built.set_main_option("script_location", str(_folder()))
    built.set_main_option("path_separator", "os")
    built.attributes["url"] = url
    return built


def upgrade(url: str) -> None:
    """Bring the database to the newest revision, all or nothing; safe to run twice at once."""
    command.upgrade(config(url), "head")


@cache
def head_revision() -> str:
    """The revision that this code was written for."""
    head = ScriptDirectory(str(_folder())).get_current_head()
    if head is None:
        raise InvalidSettings(f"no migrations in {_folder()}; the installation is not complete")
    return head


def current_revision(engine: Engine) -> str | None:
    """The revision that a database is at; None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def require_head(engine: Engine) -> None:
    """Raise InvalidSettings unless the database is at exactly the revision of this code."""
    _require(current_revision(engine))


def require_still_head(session: Session) -> None:
    """Raise InvalidSettings where another revision's code has migrated the database meanwhile."""
    _require(session.scalar(select(column("version_num")).select_from(table("alembic_version"))))


def _require(revision: str | None) -> None:
    expected = head_revision()
    if revision != expected:
        raise InvalidSettings(
            f"the database is at revision {revision or 'none'}, expected {expected}; "
            "run `holdfast migrate` (or, where the database is newer, update Holdfast)"
        )


def open_checked(url: str) -> Engine:
    """An engine on a database at the right revision; what every long-lived process starts with."""
    engine = open_database(url)
    try:
        require_head(engine)
    except InvalidSettings:
        engine.dispose()
        raise
    return engine


def _folder() -> Path:
    inside = PACKAGE / "migrations"
    return inside if inside.is_dir() else PACKAGE.parent / "migrations"
