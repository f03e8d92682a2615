"""Every revision goes up, down and up again; the tables are what the code says they are."""

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from holdfast.db import migrate
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import open_database, reading, transaction
from holdfast.errors import InvalidSettings
from holdfast.projects.decided_anew import lapsed_evaluations
from tests.holdfast.db.rows import add_checkpoint, add_evaluation, add_policy

REVISIONS = [
    script.revision
    for script in ScriptDirectory.from_config(migrate.config("")).walk_revisions("base", "heads")
][::-1]


def test_stairway(empty_database_url: str) -> None:
    config = migrate.config(empty_database_url)
    for revision in REVISIONS:
        command.upgrade(config, revision)
        command.downgrade(config, "-1")
        command.upgrade(config, revision)
    engine = open_database(empty_database_url)
    migrate.require_head(engine)
    command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_the_tables_are_those_of_the_code(database_url: str) -> None:
    command.check(migrate.config(database_url))


def test_two_upgrades_at_once(empty_database_url: str) -> None:
    code = f"from holdfast.db.migrate import upgrade; upgrade({empty_database_url!r})"
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    engine = open_database(empty_database_url)
    migrate.require_head(engine)
    engine.dispose()


def test_another_revision_is_refused(database: Engine) -> None:
    migrate.require_head(database)
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    with pytest.raises(InvalidSettings, match=r"revision ffff, expected .*holdfast migrate"):
        migrate.require_head(database)


def test_an_empty_database_is_refused(empty_database_url: str) -> None:
    with pytest.raises(InvalidSettings, match="revision none"):
        migrate.open_checked(empty_database_url)


def next_revision(folder: Path, body: str) -> None:
    """Beside copies of the real revisions, one that rebuilds a table as SQLite must."""
    header = f'revision = "9999"\ndown_revision = "{REVISIONS[-1]}"\nbranch_labels = None\n'
    imports = "import sqlalchemy as sa\nfrom alembic import op\n"
    (folder / "versions" / "9999_next.py").write_text(
        f"{imports}{header}depends_on = None\ndef upgrade():\n{body}\ndef downgrade():\n    pass\n"
    )


@pytest.fixture
def copied_scripts(home: Path, database_url: str) -> tuple[Path, Config]:
    config = migrate.config(database_url)
    folder = home / "migrations"
    shutil.copytree(str(config.get_main_option("script_location")), folder)
    config.set_main_option("script_location", str(folder))
    return folder, config


FILLED = """
    INSERT INTO jobs (id, project, kind, queue, priority, status, created_at, deadline_at,
                      lease_epoch, attempts, crash_count)
    VALUES ('j', 'p', 'evaluation', 'cpu', 0, 'queued', '2026-01-01', '2026-01-02', 0, 0, 0);
    INSERT INTO events (seq, job_id, kind, document, created_at)
    VALUES (1, 'j', 'queued', '{}', '2026-01-01');
"""


def fill(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in FILLED.split(";")[:-1]:
            connection.execute(text(statement))


def test_rebuilding_a_parent_keeps_its_children(
    database: Engine, copied_scripts: tuple[Path, Config]
) -> None:
    """With foreign keys enforced, SQLite's rebuild of `jobs` would delete every event."""
    folder, config = copied_scripts
    next_revision(
        folder,
        '    with op.batch_alter_table("jobs", recreate="auto") as jobs:\n'
        '        jobs.alter_column("queue", type_=sa.String(32))\n'
        '        jobs.add_column(sa.Column("note", sa.String(8)))\n',
    )
    fill(database)
    command.upgrade(config, "head")
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM events")).scalar() == 1


def test_what_was_waived_before_its_end_was_known_is_due(
    database: Engine, database_url: str
) -> None:
    add_checkpoint(database, "c")
    add_policy(database, "pol")
    waived, passed = add_evaluation(database), add_evaluation(database)
    with transaction(database) as session:
        for evaluation, outcome in ((waived, "waived"), (passed, "pass")):
            document = f'{{"checks":[{{"outcome":"{outcome}"}}]}}'
            get_evaluation(session, evaluation).verdict_document = document
    command.downgrade(migrate.config(database_url), "0010")
    command.upgrade(migrate.config(database_url), "head")
    with reading(database) as session:
        assert lapsed_evaluations(session) == [waived]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            """\
            op.add_column("jobs", sa.Column("note", sa.String(8)))
            raise RuntimeError("half way")
            """,
            "half way",
        ),
        (
            """\
            op.add_column("jobs", sa.Column("note", sa.String(8)))
            op.execute("DELETE FROM jobs")
            op.execute("INSERT INTO events (seq, job_id, kind, document, created_at) "
                       "VALUES (2, 'gone', 'queued', '{}', '2026-01-01')")
            """,
            "without what they refer to|violates foreign key",
        ),
    ],
    ids=["raises", "orphans"],
)
def test_a_failing_migration_leaves_nothing_behind(
    database: Engine, copied_scripts: tuple[Path, Config], body: str, message: str
) -> None:
    folder, config = copied_scripts
    indented = "".join(f"    {line}\n" for line in dedent(body).splitlines())
    next_revision(folder, indented)
    fill(database)
    with pytest.raises(Exception, match=message):
        command.upgrade(config, "head")
    assert "note" not in {column["name"] for column in inspect(database).get_columns("jobs")}
    migrate.require_head(database)
