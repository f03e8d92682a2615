"""Is it alive, can it serve, what are its numbers.

Health needs no key and shows nothing. The numbers are of all projects and tell how busy they are,
so they need one, of any project, which Prometheus can send (`authorization: {credentials_file:
PATH}`); HOLDFAST_METRICS_OPEN=true is for a network where only Prometheus gets this far. No key can
be looked up without a database: then only open metrics say that it is away, the others are a 503.
"""

from typing import Literal

from celery import Celery
from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from holdfast.api import wire
from holdfast.db.migrate import require_still_head
from holdfast.db.session import reading
from holdfast.errors import InvalidSettings
from holdfast.queue import broker_state
from service.deps import Credentials, Database, SettingsDep, identify, require_scopes
from service.metrics import Metrics
from service.problems import raises

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers, also where every thread of it is taken."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"model": wire.Readiness}})
def readyz(request: Request, response: Response) -> wire.Readiness:
    """503 without a database, or with one that is migrated to another version.

    Without a broker jobs are accepted and begun later: degraded.
    """
    broker: Celery = request.app.state.broker
    database, state = database_state(request.app.state.database), broker_state(broker)
    status: Literal["ready", "degraded", "down"] = "ready" if state == "up" else "degraded"
    if database != "up":
        status, response.status_code = "down", 503
    return wire.Readiness(status=status, database=database, broker=state)


async def require_scraper(
    request: Request,
    database: Database,
    settings: SettingsDep,
    credentials: Credentials,
) -> None:
    """Unauthorized or Forbidden unless metrics are open or the key may read jobs."""
    if not settings.metrics_open:
        require_scopes(await identify(request, database, credentials), "jobs:read")


@router.get(
    "/metrics",
    response_class=Response,
    responses={**raises(), 200: {"content": {"text/plain": {}}}},
    dependencies=[Depends(require_scraper)],
)
def metrics(request: Request) -> Response:
    """Prometheus text."""
    numbers: Metrics = request.app.state.metrics
    return Response(numbers.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def database_state(database: Engine) -> Literal["up", "down", "migrated"]:
    """Whether a statement comes back, and from a database of this version."""
    try:
        with reading(database) as session:
            require_still_head(session)
    except DBAPIError:
        return "down"
    except InvalidSettings:
        return "migrated"
    return "up"
