"""Dependencies that routes ask for by type: settings, a session, who calls.

A session is opened here and nowhere else in the service. Its scope is the function, so that it
commits before the reply is sent: with FastAPI's default a failing commit would still answer 202.
Who calls is read in a short session of its own, since on SQLite a write session holds the
database's one lock from its first statement on.

What only reads the application's state is `async`, since FastAPI gives anything else to a thread.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated

from celery import Celery
from fastapi import Depends, Query, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from holdfast.db.keys import Caller, find_caller, note_use
from holdfast.db.replies import forget_old
from holdfast.db.session import after_commit, reading, transaction
from holdfast.db.tables import JobRow
from holdfast.errors import Forbidden, Unauthorized
from holdfast.projects.decided_anew import decide_lapsed, lapsed_evaluations
from holdfast.queue import try_hint
from holdfast.scopes import roles_with
from holdfast.settings import Settings
from service.rates import Rates

bearer = HTTPBearer(auto_error=False, description="An API key, made with `holdfast keys`.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def settings_of(request: Request) -> Settings:
    """The settings that the application was made with."""
    settings: Settings = request.app.state.settings
    return settings


async def database_of(request: Request) -> Engine:
    """The application's engine."""
    engine: Engine = request.app.state.database
    return engine


SettingsDep = Annotated[Settings, Depends(settings_of)]
Database = Annotated[Engine, Depends(database_of)]


async def identify(
    request: Request,
    database: Database,
    credentials: Credentials,
) -> Caller:
    """Whose key this is; Unauthorized without a good one.

    Looked up and counted once a request: FastAPI asks again for each set of scopes.
    """
    if not hasattr(request.state, "caller"):
        request.state.caller = await run_in_threadpool(_look_up, request, database, credentials)
    caller: Caller = request.state.caller
    return caller


def key_owner(
    request: Request, database: Engine, credentials: HTTPAuthorizationCredentials | None
) -> Caller:
    """Whose key it is now; Unauthorized without a good one."""
    if credentials is None:
        raise Unauthorized("no key; send `Authorization: Bearer holdfast_live_…`")
    with reading(database) as session:
        return find_caller(session, request.app.state.pepper, credentials.credentials)


def address_of(request: Request) -> str | None:
    """The address that a request came from; None for one that is none, which a proxy may pass on.

    Whose word it is, the setting `trusted_proxies` says (`service.__main__`).
    """
    try:
        return None if request.client is None else str(ip_address(request.client.host))
    except ValueError:
        return None


def _look_up(
    request: Request, database: Engine, credentials: HTTPAuthorizationCredentials | None
) -> Caller:
    rates: Rates = request.app.state.rates
    try:
        caller = key_owner(request, database, credentials)
    except Unauthorized:
        rates.count_failed_key(address_of(request) or "unknown")
        raise
    rates.count_request(request, caller)
    if not caller.use_noted:
        with transaction(database) as session:
            note_use(session, caller.key_id)
            forget_old(session)  # a good moment: it comes about hourly for every key
    return caller


async def allow(needed: SecurityScopes, caller: Annotated[Caller, Depends(identify)]) -> Caller:
    """The caller, if the key has every scope that the route needs."""
    require_scopes(caller, *needed.scopes)
    return caller


def require_scopes(caller: Caller, *needed: str) -> None:
    """Forbidden unless the key has them; says which roles do."""
    for scope in needed:
        if not caller.may(scope):
            roles = " or ".join(roles_with(scope))
            raise Forbidden(f"the key lacks {scope}; a key of role {roles} has it")


async def allow_one(needed: SecurityScopes, caller: Annotated[Caller, Depends(identify)]) -> Caller:
    """The caller, if the key has any of the scopes, of which the route decides further."""
    if not any(map(caller.may, needed.scopes)):
        require_scopes(caller, needed.scopes[0])
    return caller


def require_own(caller: Caller, job: JobRow) -> None:
    """Forbidden to end a job that another submitted, but for a key that may cancel any."""
    own_person = job.principal is not None and job.principal == caller.principal
    if job.key_id not in {None, caller.key_id} and not own_person:
        require_scopes(caller, "jobs:cancel")


Reader = Annotated[Caller, Security(allow, scopes=["jobs:read"])]
Writer = Annotated[Caller, Security(allow, scopes=["jobs:write"])]
BaselineWriter = Annotated[Caller, Security(allow, scopes=["baselines:write"])]
PolicyWriter = Annotated[Caller, Security(allow, scopes=["policies:write"])]
Waiving = Annotated[Caller, Security(allow, scopes=["waivers:write"])]
ProjectWriter = Annotated[Caller, Security(allow, scopes=["projects:write"])]
Auditor = Annotated[Caller, Security(allow, scopes=["audit:read"])]
Canceler = Annotated[Caller, Security(allow_one, scopes=["jobs:write", "jobs:cancel"])]
Admin = Annotated[Caller, Security(allow, scopes=["admin"])]


def require_project(project: str, caller: Caller) -> str:
    """The project in the path, which has to be the key's; Forbidden otherwise."""
    if project != caller.project:
        raise Forbidden(f"the key belongs to another project than {project!r}")
    return project


def _read_session(database: Database) -> Iterator[Session]:
    with reading(database) as session:
        if lapsed_evaluations(session):  # no pass is shown that stands on a waiver that is over
            session.rollback()
            decide_lapsed(database)
        yield session


def _write_session(database: Database) -> Iterator[Session]:
    with transaction(database) as session:
        yield session


Reading = Annotated[Session, Depends(_read_session, scope="function")]
Writing = Annotated[Session, Depends(_write_session, scope="function")]

Limit = Annotated[int, Query(ge=1, le=200, description="Entries of a page.")]


def wake_after_commit(request: Request, session: Session, queue: str) -> None:
    """Send a hint once the row is there. A dead broker costs a second, never the request."""
    broker: Celery = request.app.state.broker

    after_commit(session, lambda: try_hint(broker, queue))
