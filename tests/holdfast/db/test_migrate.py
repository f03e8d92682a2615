"""Which revision a database is at, who brings it to the newest, and what becomes of its rows."""

from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from holdfast.db import migrate
from holdfast.db.browse import list_evaluations
from holdfast.db.catalogue import get_checkpoint
from holdfast.db.evaluations import get_remediation
from holdfast.db.session import open_database, reading
from holdfast.errors import InvalidSettings

REVISIONS = [
    script.revision
    for script in ScriptDirectory.from_config(migrate.config("")).walk_revisions("base", "heads")
][::-1]

# rows that every release could write, in the columns of the first one
ROWS = """
    INSERT INTO checkpoints (id, project, name, path, digest, template_sha256, files, created_at)
    VALUES ('c', 'p', 'n', '/x', 'sha256:0', '0', '[]', '2026-01-01');
    INSERT INTO policies (id, project, name, digest, text, created_at)
    VALUES ('pol', 'p', 'n', '0', 'version: 1', '2026-01-01');
    INSERT INTO jobs (id, project, kind, queue, priority, status, created_at, deadline_at,
                      lease_epoch, attempts, crash_count)
    VALUES ('e', 'p', 'evaluation', 'cpu', 0, 'queued', '2026-01-01', '2026-01-02', 3, 1, 0),
           ('r', 'p', 'remediation', 'cpu', 0, 'queued', '2026-01-01', '2026-01-02', 0, 0, 0);
    INSERT INTO evaluations (id, candidate_id, baseline_id, policy_id, tier, split, template,
                             manifests, cost)
    VALUES ('e', 'c', 'c', 'pol', 'demo', 'screen', 'baseline', '{}', '{"tokens": 7}');
    INSERT INTO remediations (id, evaluation_id, recipe, options, progress)
    VALUES ('r', 'e', 'wise_ft', '{}', '{}');
    INSERT INTO events (job_id, kind, document, created_at)
    VALUES ('e', 'queued', '{}', '2026-01-01');
    INSERT INTO trials (evaluation_id, side, probe, item, variant, answer_key, lease_epoch)
    VALUES ('e', 'candidate', 'harm.direct', 'a', 'plain', 'k', 3)
"""
TABLES = ("checkpoints", "policies", "jobs", "evaluations", "remediations", "events", "trials")


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = open_database(empty_database_url)
    yield engine
    engine.dispose()


def fill(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in ROWS.split(";"):
            connection.exec_driver_sql(statement)


def counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {table: connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES}


FILLED = {**dict.fromkeys(TABLES, 1), "jobs": 2}


def columns(engine: Engine, table: str) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns(table)}


def test_the_revision_of_this_code_is_the_last_of_one_line() -> None:
    assert migrate.head_revision() == REVISIONS[-1]
    assert len(set(REVISIONS)) == len(REVISIONS)


def test_a_database_without_tables_is_at_no_revision(empty: Engine) -> None:
    assert migrate.current_revision(empty) is None


def test_every_revision_is_told_and_all_but_the_last_refused(empty: Engine) -> None:
    url = empty.url.render_as_string(hide_password=False)
    for revision in REVISIONS[:-1]:
        command.upgrade(migrate.config(url), revision)
        assert migrate.current_revision(empty) == revision
        with pytest.raises(InvalidSettings, match=f"revision {revision}, expected"):
            migrate.require_head(empty)
    migrate.upgrade(url)
    migrate.require_head(empty)


@pytest.mark.parametrize("revision", REVISIONS)
def test_rows_of_every_release_are_read_by_this_one(empty: Engine, revision: str) -> None:
    url = empty.url.render_as_string(hide_password=False)
    command.upgrade(migrate.config(url), revision)
    fill(empty)
    migrate.upgrade(url)
    assert counts(empty) == FILLED
    with reading(empty) as session:
        ((job, evaluation),) = list_evaluations(session, "p", limit=9)
        checkpoint, repair = get_checkpoint(session, "p", "c"), get_remediation(session, "r")
    assert (job.id, job.lease_epoch, job.created_at.isoformat()) == (
        "e",
        3,
        "2026-01-01T00:00:00+00:00",
    )
    assert (evaluation.anchor_id, evaluation.race, evaluation.template_arguments) == (None,) * 3
    assert (checkpoint.adapter, checkpoint.parent_id) == (None, None)
    assert (repair.parent_id, repair.split) == (None, "confirm")


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_going_back_loses_columns_and_no_rows(empty: Engine, revision: str) -> None:
    url = empty.url.render_as_string(hide_password=False)
    migrate.upgrade(url)
    fill(empty)
    command.downgrade(migrate.config(url), revision)
    assert migrate.current_revision(empty) == revision
    assert counts(empty) == FILLED
    for since, table, column in [
        ("0002", "evaluations", "anchor_id"),
        ("0003", "evaluations", "race"),
        ("0003", "remediations", "parent_id"),
        ("0004", "checkpoints", "adapter"),
        ("0005", "evaluations", "template_arguments"),
    ]:
        assert (column in columns(empty, table)) == (revision >= since), column


def test_upgrading_again_changes_nothing(empty: Engine) -> None:
    url = empty.url.render_as_string(hide_password=False)
    migrate.upgrade(url)
    fill(empty)
    migrate.upgrade(url)
    assert counts(empty) == FILLED
    migrate.require_head(empty)


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["100%.db", "%(home)s.db", "a b.db"])
def test_signs_of_configuration_files_in_a_url_are_taken_as_they_stand(
    empty_database_url: str, name: str
) -> None:
    url = empty_database_url.replace("holdfast.db", name)
    migrate.upgrade(url)
    migrate.open_checked(url).dispose()


def test_a_database_at_this_revision_is_opened(database_url: str) -> None:
    engine = migrate.open_checked(database_url)
    with reading(engine) as session:
        assert list_evaluations(session, "p", limit=9) == []
    engine.dispose()


@pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
def test_a_refusal_leaves_no_connection_behind(empty_database_url: str) -> None:
    with pytest.raises(InvalidSettings, match="revision none") as refused:
        migrate.open_checked(empty_database_url)
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with psycopg.connect(empty_database_url) as connection:
        row = connection.execute(query + " AND pid <> pg_backend_pid()").fetchone()
    assert row == (0,), refused
