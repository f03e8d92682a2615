"""`make bench-fuzz`: generated requests by keys of every role, for 20 minutes, on both databases.

MINUTES and SEED may be given: `make bench-fuzz MINUTES=5`. Each run has a role, a fresh database
with two projects, and a random seed; every role is run at least once on SQLite and PostgreSQL. With
a SEED each has that one and is run once, and sends what it sent when it failed with it.
"""

import os
import secrets
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count, product
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from holdfast.db.migrate import upgrade
from holdfast.scopes import ROLES, Role
from holdfast.settings import Settings, read_settings
from service.app import create_app
from tests.support.fuzz import UNLIMITED, Fuzzed, fuzz
from tests.support.servers import celery_url, postgres, redis_server, scratch_folder
from tests.support.two_projects import rows_of, seed_project

EXAMPLES = 10  # an operation


def fresh_settings(home: Path, kind: str, server: str, broker: Path) -> Settings:
    """Settings of a migrated database of a run's own."""
    url = f"sqlite:///{home}/holdfast.db"
    if kind == "postgresql":
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {home.name}")  # a name of our own making
        url = make_url(server).set(database=home.name).render_as_string(hide_password=False)
    upgrade(url)
    settings = read_settings(
        {
            "HOLDFAST_HOME": str(home),
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_BROKER_URL": celery_url(broker),
            "HOLDFAST_CHECKPOINT_ROOTS": str(home / "models"),
        }
    )
    return settings.model_copy(update=UNLIMITED)


def run(settings: Settings, role: Role, seed: int) -> Fuzzed:
    """One role on a fresh database; what it did to the other project's rows is a problem too."""
    app = create_app(settings)
    with closing(app.state.broker):
        projects = seed_project(app, "demo"), seed_project(app, "other-project")
        before = rows_of(app.state.database, projects[1])
        fuzzed = fuzz(app, projects, role, seed=seed, examples=EXAMPLES)
        after = rows_of(app.state.database, projects[1])
        for table in before:
            if before[table] != after[table]:
                fuzzed.problems[f"{table}: rows of the other project were changed"] = ""
        app.state.database.dispose()
    return fuzzed


def runs(minutes: float, seed: int | None) -> Iterator[tuple[str, Fuzzed]]:
    """Each role on each database, again and again until the time is over."""
    began = time.monotonic()
    with ExitStack() as stack:
        server = stack.enter_context(postgres(stack.enter_context(scratch_folder())))
        broker = stack.enter_context(redis_server(stack.enter_context(scratch_folder())))
        for number in count():
            for role, kind in product(ROLES, ("sqlite", "postgresql")):
                over = seed is not None or time.monotonic() - began > 60 * minutes
                if number > 0 and over:
                    return
                chosen = secrets.randbits(32) if seed is None else seed
                with scratch_folder() as home:
                    settings = fresh_settings(home, kind, server, broker)
                    yield kind, run(settings, role, chosen)


def main() -> int:
    """Counts of every run as it ends; what was wrong, and what was never answered, at the end."""
    minutes, seed = float(os.environ.get("MINUTES", "20")), os.environ.get("SEED")
    totals: defaultdict[str, Counter[int]] = defaultdict(Counter)
    operations, answered, problems = set[str](), set[str](), 0
    for kind, fuzzed in runs(minutes, int(seed) if seed else None):
        totals[fuzzed.role] += fuzzed.statuses
        operations |= {operation for operation, _ in fuzzed.replies}
        answered |= fuzzed.answered
        problems += len(fuzzed.problems)
        print(f"{fuzzed.role} on {kind}, SEED={fuzzed.seed}: {counts(fuzzed.statuses)}", flush=True)
        for title, text in fuzzed.problems.items():
            print(f"WRONG {title}\n{text}\n", flush=True)
    for role, statuses in totals.items():
        print(f"{role}: {statuses.total()} requests, {counts(statuses)}")
    if silent := sorted(operations - answered):
        print(f"never answered, so nothing is shown of them: {', '.join(silent)}")
    print(f"{problems} wrong, limit 0")
    return 1 if problems or silent or not operations else 0


def counts(statuses: Counter[int]) -> str:
    """How many replies had each status."""
    return ", ".join(f"{status} x {number}" for status, number in sorted(statuses.items()))


if __name__ == "__main__":
    sys.exit(main())
