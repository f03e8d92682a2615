"""Every error as RFC 9457 `application/problem+json`, with the id of its request.

The status and the title come from the error class, and so does the OpenAPI document: a route names
the classes it may raise. What a client sent is not repeated back, and of an error that we did not
raise on purpose nobody outside learns more than the request id; the log learns its kind and place.
"""

import json
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from holdfast.api.wire import Problem
from holdfast.errors import Forbidden, HoldfastError, Unauthorized, Unreachable
from holdfast.failures import described, log_trace

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
ALWAYS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
SCHEMA = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
HEADERS = {  # of every reply
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MAX_ERRORS = 20  # of one body; the rest would say the same

Responses = dict[int | str, dict[str, Any]]


def request_id(request: Request) -> str:
    """The id that logs and replies share."""
    return str(request.scope.get("request_id", "unknown"))


def problem(
    request: Request,
    status: int,
    title: str,
    detail: str,
    *,
    errors: Iterable[str] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """One error reply. ASCII only, so that whatever a client sent can be spoken of."""
    body = Problem(
        title=title,
        status=status,
        detail=detail,
        request_id=request_id(request),
        errors=tuple(errors),
    )
    text = json.dumps(body.model_dump(mode="json"))
    return Response(text, status, media_type=MEDIA_TYPE, headers=headers)


def raises(*kinds: type[HoldfastError]) -> Responses:
    """OpenAPI responses of the errors that a route may raise, besides those of every route."""
    everywhere: tuple[type[HoldfastError], ...] = (Unauthorized, Forbidden)
    descriptions: dict[int, list[str]] = {}
    for kind in (*everywhere, *kinds):
        descriptions.setdefault(kind.status, []).append(f"{kind.__name__}: {kind.__doc__ or ''}")
    for status in ALWAYS:
        descriptions.setdefault(status, []).append(status.phrase)
    return {
        int(status): {"description": " ".join(lines), "content": SCHEMA}
        for status, lines in sorted(descriptions.items())
    }


def install(app: FastAPI) -> None:
    """Handlers for all errors, and the OpenAPI document that promises them."""
    app.add_exception_handler(HoldfastError, on_our_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(DBAPIError, on_database_error)
    app.add_exception_handler(Exception, on_unknown_error)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    logging.getLogger("uvicorn.error").addFilter(without_traceback)


def without_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback from what uvicorn logs of an error that passed us; always true."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"the application broke off: {described(record.exc_info[1])}", ()
        record.exc_info = None
    return True


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schema of a problem."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schemas = document["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        app.openapi_schema = document
    return app.openapi_schema


def on_our_error(request: Request, error: Exception) -> Response:
    """The reply to an error that we raised on purpose."""
    if not isinstance(error, HoldfastError):
        raise error
    kind, status = type(error), error.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request=%s %s: %s", request_id(request), kind.__name__, error)
    headers = {}
    if status == Unauthorized.status:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return problem(request, status, kind.__name__, str(error), headers=headers)


def on_http_error(request: Request, error: Exception) -> Response:
    """The reply to what the framework refused: no such page or method, a body that is no JSON."""
    if not isinstance(error, HTTPException):
        raise error
    headers, detail = dict(error.headers or {}), str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(request))
        detail = f"{request.method} is not possible here, only {headers['Allow']}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"nothing at {request.url.path}; /openapi.json lists what there is"
    title = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
    return problem(request, error.status_code, title, detail, headers=headers)


def allowed_methods(request: Request) -> list[str]:
    """The methods of all routes at this path: the framework names the first one's only."""
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= set(route.methods or ())
    return sorted(methods)


def on_invalid_request(request: Request, error: Exception) -> Response:
    """A body, query or header that is not as the OpenAPI document says."""
    if not isinstance(error, RequestValidationError):
        raise error
    complaints = [
        f"{'.'.join(str(part) for part in invalid_field['loc'])}: {invalid_field['msg']}"
        for invalid_field in error.errors()
    ]
    detail = (
        f"the request does not fit in {len(complaints)} places; see errors, and /openapi.json for "
        "the shape"
    )
    return problem(request, 422, "InvalidRequest", detail, errors=complaints[:MAX_ERRORS])


def on_database_error(request: Request, error: Exception) -> Response:
    """The database did not answer or refused; nothing of this request was kept."""
    log.error("request=%s database: %s", request_id(request), described(error))
    detail = "the database did not take this; nothing was changed, try again"
    headers = {"Retry-After": str(Unreachable.retry_after)}
    return problem(request, 503, Unreachable.__name__, detail, headers=headers)


def on_unknown_error(request: Request, error: Exception) -> Response:
    """The reply to an error that nobody foresaw, which is our fault."""
    log.error("request=%s failed", request_id(request))
    log_trace(log, f"request={request_id(request)}", error)
    detail = f"Holdfast failed; its log has more under request {request_id(request)}"
    headers = {**HEADERS, "X-Request-ID": request_id(request)}  # it passes no middleware of ours
    return problem(request, 500, "InternalError", detail, headers=headers)
