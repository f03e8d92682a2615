"""One fleet on SQLite, one on PostgreSQL, for all of these tests; its logs where one fails.

They end with this folder's tests: what polls would take time from all that come after.
"""

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import copied_database
from tests.support.fleet import Fleet, running_fleet
from tests.support.servers import celery_url, redis_server, scratch_folder


@pytest.fixture(scope="package")
def broker_socket() -> Iterator[Path]:
    """A Redis of these tests' own, since they flush it."""
    with scratch_folder() as folder, redis_server(folder) as socket:
        yield socket


@pytest.fixture(scope="package")
def sqlite_fleet(sqlite_template: Path, broker_socket: Path) -> Iterator[Fleet]:
    with scratch_folder() as home:
        shutil.copy(sqlite_template, home / "holdfast.db")
        url = f"sqlite:///{home}/holdfast.db"
        with running_fleet(home, url, celery_url(broker_socket)) as fleet:
            yield fleet


@pytest.fixture(scope="package")
def postgres_fleet(postgres_url: str, postgres_template: str) -> Iterator[Fleet]:
    with (
        contextmanager(copied_database)(postgres_url, postgres_template) as url,
        scratch_folder() as home,
        scratch_folder() as folder,
        redis_server(folder) as socket,
        running_fleet(home, url, celery_url(socket)) as fleet,
    ):
        yield fleet


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for fleet in item.funcargs.values():
            if isinstance(fleet, Fleet):
                report.sections.append(("logs of the fleet", fleet.tails()))
    return report
