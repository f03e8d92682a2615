"""`make bench-api`: the cost of rules and the audit trail for a submission, and of long queues.

Beside a bare FastAPI route that authenticates the same way and inserts one row, in the same process
and on the same database; one request after the other from one client, alternating, medians. Then
claim, list and metrics with 100 and with 10,000 queued jobs.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from holdfast.db import jobs
from holdfast.db.evaluations import (
    EvaluationFields,
    create_evaluation,
    fields_of,
    get_evaluation,
    get_job,
)
from holdfast.db.keys import create_key, read_pepper
from holdfast.db.migrate import upgrade
from holdfast.db.session import transaction
from holdfast.db.tables import EventRow
from holdfast.scopes import SCOPES
from holdfast.settings import Settings, read_settings
from service.app import create_app
from service.deps import Writer, Writing
from tests.support.folders import write_checkpoint
from tests.support.servers import celery_url, postgres, redis_server, scratch_folder

ROUNDS, REQUESTS = 9, 40
SHORT, LONG = 100, 10_000
BAR, GROWTH = 0.5, 1.5


def bare(caller: Writer, session: Writing) -> dict[str, str]:
    """One row, by a caller who may write."""
    session.add(
        EventRow(job_id=BARE["job"], kind="note", document={}, created_at=jobs.now(session))
    )
    return {"project": caller.project}


BARE: dict[str, str] = {}


@contextmanager
def served(url: str, settings: Settings) -> Iterator[tuple[TestClient, Engine]]:
    """The application with a bare route beside its own, and a client with a key."""
    upgrade(url)
    app = create_app(settings)
    app.post("/bare")(bare)
    with transaction(app.state.database) as session:
        token = create_key(
            session, read_pepper(settings), "bench", name="bench", scopes=SCOPES
        ).token
    with TestClient(app, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client, app.state.database


def per_second(act: Callable[[], Any], times: int = REQUESTS) -> float:
    """How often an act is done in a second."""
    began = time.perf_counter()
    for _ in range(times):
        act()
    return times / (time.perf_counter() - began)


def registered(client: TestClient, settings: Settings) -> dict[str, Any]:
    """A submission whose checkpoints and policy are there already."""
    sides = {}
    for value, side in enumerate(("candidate", "baseline")):
        folder = write_checkpoint(settings.home / "models" / side, value=float(value))
        sides[side] = client.post("/v1/checkpoints", json={"uri": str(folder)}).json()["id"]
    body = {**sides, "policy": "demo", "tier": "demo"}
    first = client.post("/v1/evaluations", json=body)
    first.raise_for_status()
    BARE["job"] = first.json()["id"]
    return {**body, "policy": first.json()["policy"]}


def fill(database: Engine, like: str, count: int) -> None:
    """Queue as many jobs as an evaluation like that one makes."""
    with transaction(database) as session:
        fields: EvaluationFields = fields_of(get_job(session, like), get_evaluation(session, like))
        for _ in range(count):
            create_evaluation(session, fields)
    if database.dialect.name == "postgresql":  # as its own daemon does within a minute
        with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def measured(client: TestClient, database: Engine) -> dict[str, float]:
    """Seconds of a claim, a list and a scrape: medians."""

    def claim_and_release() -> None:
        with suppress(RuntimeError), transaction(database) as session:
            jobs.claim(session, queue="cpu", owner="bench")
            raise RuntimeError  # so that the queue stays as long as it is

    acts: dict[str, Callable[[], Any]] = {
        "claim": claim_and_release,
        "list": lambda: client.get("/v1/evaluations"),
        "metrics": lambda: client.get("/metrics"),
    }
    return {
        name: statistics.median(1 / per_second(act, 5) for _ in range(ROUNDS))
        for name, act in acts.items()
    }


def report(url: str) -> bool:
    """Measure on one database; True if every figure is within its limit."""
    with scratch_folder() as home, scratch_folder() as folder, redis_server(folder) as broker:
        environment = {
            "HOLDFAST_HOME": str(home),
            "HOLDFAST_DATABASE_URL": url or f"sqlite:///{home}/holdfast.db",
            "HOLDFAST_BROKER_URL": celery_url(broker),
            "HOLDFAST_CHECKPOINT_ROOTS": str(home / "models"),
            "HOLDFAST_MAX_JOBS": "1000000",
        }
        settings = read_settings(environment)
        with served(settings.database_url, settings) as (client, database):
            body = registered(client, settings)
            ratios = []
            for _ in range(ROUNDS):
                plain = per_second(lambda: client.post("/bare"))
                whole = per_second(lambda: client.post("/v1/evaluations", json=body))
                ratios.append(whole / plain)
            ratio, name = statistics.median(ratios), database.dialect.name
            spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
            print(f"{name}: a submission {ratio:.2f} of the bare route ({spread}), limit {BAR}")
            fill(database, BARE["job"], SHORT)
            short = measured(client, database)
            fill(database, BARE["job"], LONG)
            long = measured(client, database)
            growth = {act: long[act] / short[act] for act in short}
            for act, factor in growth.items():
                moved = f"{short[act] * 1e3:.1f} -> {long[act] * 1e3:.1f} ms"
                print(f"{name}: {act} {moved}, x {factor:.2f}, limit {GROWTH}")
    return ratio >= BAR and all(factor < GROWTH for factor in growth.values())


def main() -> int:
    """Both databases."""
    with scratch_folder() as folder, postgres(folder) as url:
        within = [report(""), report(url)]
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
