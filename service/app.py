"""The application: routes, errors, limits, and what they share.

`create_app(settings)` opens the database (refusing any revision but this code's) and a broker
connection that gives up within a second. Started by `python -m service`. There are no pages of
documentation: FastAPI's load scripts from elsewhere; `/openapi.json` says the same.
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from holdfast.db.keys import read_pepper
from holdfast.db.migrate import open_checked
from holdfast.projects.audit import read_signing_key
from holdfast.projects.signed_heads import keep_signing
from holdfast.queue import broker_state, producer
from holdfast.settings import Settings, read_settings
from holdfast.stack.log_lines import UVICORN_LOGGERS, log_to_stderr
from service import problems
from service.admitting import Admitting
from service.idempotency import Replayed, on_replayed
from service.limits import Observed, RequestLimit
from service.metrics import Metrics
from service.rates import Rates
from service.routes import (
    audit,
    baselines,
    catalogues,
    checkpoints,
    evaluations,
    events,
    health,
    keys,
    policies,
    projects,
    remediations,
    results,
    waivers,
)
from service.routes.listening import Listening

ROUTERS = (
    checkpoints.router,
    baselines.router,
    policies.router,
    evaluations.router,
    events.router,
    results.router,
    remediations.router,
    keys.router,
    projects.router,
    waivers.router,
    audit.router,
    catalogues.router,
    health.router,
)

SIGNER_SECONDS = 5.0  # for a signature that is just being written; a database may be away longer


def create_app(settings: Settings) -> FastAPI:
    """The service on one database; InvalidSettings where its schema is another revision's."""
    database, broker = open_checked(settings.database_url), producer(settings)
    admitting, signing_key = Admitting(settings, database), read_signing_key(settings.home)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        ended = threading.Event()
        signing = (database, settings.home, signing_key, ended)
        signer = threading.Thread(target=keep_signing, args=signing, name="signer", daemon=True)
        signer.start()
        yield
        ended.set()
        signer.join(SIGNER_SECONDS)
        admitting.close()
        broker.close()
        database.dispose()

    app = FastAPI(
        title="Holdfast",
        version=version("holdfast"),
        description="A safety-regression gate for language-model checkpoints.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings, app.state.database, app.state.broker = settings, database, broker
    app.state.pepper = read_pepper(settings)
    app.state.admitting = admitting
    app.state.listening = Listening(database)
    app.state.signing_key = signing_key
    app.state.metrics = Metrics(app.version, database, lambda: broker_state(broker) == "up")
    app.state.rates = Rates(settings, app.state.metrics)
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    app.add_exception_handler(Replayed, on_replayed)
    app.add_middleware(RequestLimit)
    app.add_middleware(Observed, metrics=app.state.metrics)
    return app


def app() -> FastAPI:
    """The service as the environment sets it up, for uvicorn's `factory`."""
    log_to_stderr(*UVICORN_LOGGERS)
    return create_app(read_settings())
