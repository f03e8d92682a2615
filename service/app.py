"""The application: routes, errors, limits, and what they share.

`create_app(settings)` opens the database (refusing any revision but this code's) and a broker
connection that gives up within a second. Started as `uvicorn service.app:app --factory`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from holdfast.db.keys import read_pepper
from holdfast.db.migrate import open_checked
from holdfast.queue import broker_state, producer
from holdfast.settings import Settings, read_settings
from service import problems
from service.idempotency import Replayed, on_replayed
from service.limits import BodyLimit, Observed
from service.metrics import Metrics
from service.routes import (
    baselines,
    catalogues,
    checkpoints,
    evaluations,
    events,
    health,
    keys,
    policies,
    remediations,
    results,
)

ROUTERS = (
    checkpoints.router,
    baselines.router,
    policies.router,
    evaluations.router,
    events.router,
    results.router,
    remediations.router,
    keys.router,
    catalogues.router,
    health.router,
)


def create_app(settings: Settings) -> FastAPI:
    """The service on one database; InvalidSettings where its schema is another revision's."""
    database, broker = open_checked(settings.database_url), producer(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        broker.close()
        database.dispose()

    app = FastAPI(
        title="Holdfast",
        version=version("holdfast"),
        description="A safety-regression gate for language-model checkpoints.",
        lifespan=lifespan,
    )
    app.state.settings, app.state.database, app.state.broker = settings, database, broker
    app.state.pepper = read_pepper(settings)
    app.state.metrics = Metrics(app.version, database, lambda: broker_state(broker) == "up")
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    app.add_exception_handler(Replayed, on_replayed)
    app.add_middleware(BodyLimit)
    app.add_middleware(Observed, metrics=app.state.metrics)
    return app


def app() -> FastAPI:
    """The service as the environment sets it up, for `uvicorn --factory`."""
    return create_app(read_settings())
