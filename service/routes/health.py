"""Is it alive, can it serve, what are its numbers. No key needed, nothing of a project shown."""

from typing import Literal

from celery import Celery
from fastapi import APIRouter, Request, Response
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from holdfast.api import wire
from holdfast.db.session import reading
from holdfast.queue import broker_state
from service.metrics import Metrics

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"model": wire.Readiness}})
def readyz(request: Request, response: Response) -> wire.Readiness:
    """503 without a database. Without a broker jobs are accepted and begun later: degraded."""
    broker: Celery = request.app.state.broker
    database, state = database_state(request.app.state.database), broker_state(broker)
    status: Literal["ready", "degraded", "down"] = "ready" if state == "up" else "degraded"
    if database == "down":
        status, response.status_code = "down", 503
    return wire.Readiness(status=status, database=database, broker=state)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """Prometheus text."""
    numbers: Metrics = request.app.state.metrics
    return Response(numbers.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def database_state(database: Engine) -> Literal["up", "down"]:
    """Whether a statement comes back."""
    try:
        with reading(database) as session:
            session.execute(text("SELECT 1"))
    except DBAPIError:
        return "down"
    return "up"
