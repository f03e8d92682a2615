"""Idempotency: the same POST twice has one effect and one answer.

A request first claims its key in a transaction of its own, so that a twin that comes meanwhile is
told to wait. Its reply is then written in the same transaction as its effect: either both are
there or neither, so a process that dies in between leaves a claim without effect. A claim lasts
for seconds and is renewed while its request is at work, however long that reads a checkpoint; one
that nobody renews is taken over. A request that was only held up finds another's claim there, and
rolls back.
"""

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Engine, delete, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from holdfast.db.jobs import now
from holdfast.db.session import insert_into, transaction
from holdfast.db.tables import IdempotentReply
from holdfast.errors import Conflict, IdempotencyMismatch, InFlight

log = logging.getLogger(__name__)

LIFETIME = timedelta(hours=24)
IN_FLIGHT = timedelta(seconds=10)  # after that, a claim that nobody renewed is a dead request's
RENEW_SECONDS = 2.5


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one request to store the reply of an Idempotency-Key."""

    project: str
    key: str
    token: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The stored reply of an Idempotency-Key."""

    status: int
    headers: dict[str, str]
    body: str


def claim_key(session: Session, project: str, key: str, fingerprint: str) -> Claim | Reply:
    """Claim a key, or get the reply that it has already.

    Raises IdempotencyMismatch for another request under the same key, and Conflict while the
    first is still at work.
    """
    claim = Claim(project, key, secrets.token_hex(16))
    moment = now(session)
    fresh = {"fingerprint": fingerprint, "claim": claim.token, "created_at": moment}
    emptied: dict[str, Any] = {"status": None, "headers": {}, "body": None}
    statement = insert_into(session, IdempotentReply).values(
        project=project, key=key, **fresh, **emptied
    )
    abandoned = IdempotentReply.status.is_(None) & (IdempotentReply.created_at < moment - IN_FLIGHT)
    claimed_key = session.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "key"],
            set_={**fresh, **emptied},
            where=or_(abandoned, IdempotentReply.created_at < moment - LIFETIME),
        ).returning(IdempotentReply.key)
    ).one_or_none()
    return claim if claimed_key else _earlier(session, project, key, fingerprint)


def _earlier(session: Session, project: str, key: str, fingerprint: str) -> Reply:
    row = session.get(IdempotentReply, (project, key))
    if row is not None and row.fingerprint != fingerprint:
        raise IdempotencyMismatch(
            "this Idempotency-Key was used for another request; use a new key for a new request"
        )
    if row is None or row.status is None:
        raise InFlight("a request with this Idempotency-Key is still at work; try again later")
    return Reply(row.status, dict(row.headers), row.body or "")


@contextmanager
def renewing(database: Engine, claim: Claim) -> Iterator[None]:
    """Keep a claim from being taken over for as long as its request is at work in this process."""
    over = threading.Event()
    renewer = threading.Thread(target=_renew_until, args=(over, database, claim), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        over.set()
        renewer.join()


def _renew_until(over: threading.Event, database: Engine, claim: Claim) -> None:
    while not over.wait(RENEW_SECONDS):
        try:
            with transaction(database) as session:
                session.execute(
                    update(IdempotentReply)
                    .where(*_ours(claim))
                    .values(created_at=now(session))
                    .execution_options(synchronize_session=False)
                )
        except SQLAlchemyError as error:  # what the request itself writes will say so as well
            log.warning("a claim on an Idempotency-Key was not renewed: %s", error)


def keep_reply(session: Session, claim: Claim, reply: Reply) -> None:
    """Write the reply, in the transaction of its effect; Conflict if the claim was taken over."""
    written = session.execute(
        update(IdempotentReply)
        .where(*_ours(claim))
        .values(status=reply.status, headers=reply.headers, body=reply.body)
        .execution_options(synchronize_session=False)
    )
    if not isinstance(written, CursorResult) or written.rowcount != 1:
        raise Conflict(
            f"the request with Idempotency-Key {claim.key!r} took so long that another took its "
            "place; this one changed nothing"
        )


def drop_claim(session: Session, claim: Claim) -> None:
    """Free the key of a request that failed: the same key may try again."""
    session.execute(delete(IdempotentReply).where(*_ours(claim)))


def _ours(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotentReply.project == claim.project,
        IdempotentReply.key == claim.key,
        IdempotentReply.claim == claim.token,
        IdempotentReply.status.is_(None),
    )


def forget_old(session: Session) -> None:
    """Remove replies past their 24 hours."""
    session.execute(
        delete(IdempotentReply).where(IdempotentReply.created_at < now(session) - LIFETIME)
    )
