"""The audit trail in the database: an act is recorded in the transaction that carries it out.

The head of a project's chain is locked from the first record to the commit, so acts of one project
come one after the other and no number is missing; an act that rolls back leaves no record.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.jobs import now
from holdfast.db.keys import read_or_make
from holdfast.db.session import insert_into
from holdfast.projects.chain import GENESIS, Head, SignedHead, digest_of
from holdfast.projects.tables import AuditEventRow, AuditHeadRow

FIELDS = tuple(column.key for column in AuditEventRow.__table__.columns)
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the person, as far as anybody said who, the key, and where the request came from.

    `authenticated` is `key`, `operator` for a command on the server itself, or `server` for what
    comes by itself: a waiver that ends.
    """

    project: str
    principal: str | None
    key_id: str | None = None
    authenticated: str = "key"
    address: str | None = None
    request_id: str | None = None


def record(
    session: Session,
    actor: Actor,
    action: str,
    target: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an act to the project's trail; `before` and `after` are ids, digests and settings.

    Never content: what models said ages, and the trail does not.
    """
    head = _locked_head(session, actor.project)
    event: dict[str, Any] = {
        **asdict(actor),
        "seq": head.seq + 1,
        "at": now(session).isoformat(),
        "action": action,
        "target": target,
        "before": None if before is None else dict(before),
        "after": None if after is None else dict(after),
        "previous": head.digest,
    }
    digest = digest_of(event)
    session.add(AuditEventRow(**event, digest=digest))
    head.seq, head.digest = head.seq + 1, digest
    session.flush()


def list_events(
    session: Session, project: str, *, after: int = 0, limit: int = 100
) -> Sequence[AuditEventRow]:
    """A project's events after a number, oldest first."""
    query = select(AuditEventRow).where(AuditEventRow.project == project, AuditEventRow.seq > after)
    return session.scalars(query.order_by(AuditEventRow.seq).limit(limit)).all()


def all_events(session: Session, project: str) -> Iterator[dict[str, Any]]:
    """Every event of a project as it was digested, oldest first."""
    after = 0
    while rows := list_events(session, project, after=after, limit=PAGE):
        yield from map(event_fields, rows)
        after = rows[-1].seq


def event_fields(row: AuditEventRow) -> dict[str, Any]:
    """A row's fields by name, its digest among them."""
    return {name: getattr(row, name) for name in FIELDS}


def head_of(session: Session, project: str) -> Head:
    """Where a project's chain ends now."""
    row = session.get(AuditHeadRow, project)
    return Head(project, 0, GENESIS) if row is None else Head(project, row.seq, row.digest)


def all_heads(session: Session) -> list[Head]:
    """Where the chain of every project ends now, in the order of their names."""
    rows = session.scalars(select(AuditHeadRow).order_by(AuditHeadRow.project))
    return [Head(row.project, row.seq, row.digest) for row in rows]


def holds(session: Session, head: Head) -> bool:
    """Whether a project's trail has the event that a head is of; every trail has event 0."""
    row = session.get(AuditEventRow, (head.project, head.seq))
    return head.seq == 0 or (row is not None and row.digest == head.digest)


def sign_head(head: Head, key: Ed25519PrivateKey) -> SignedHead:
    """The head, signed."""
    return SignedHead(
        head, base64.b64encode(key.sign(head.to_bytes())).decode(), public_key_text(key)
    )


def public_key_text(key: Ed25519PrivateKey) -> str:
    """The public half of the server's key, in base64."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def read_signing_key(home: Path) -> Ed25519PrivateKey:
    """The server's key, made once in the data folder (32 bytes, mode 0600)."""
    fresh = Ed25519PrivateKey.generate().private_bytes_raw()
    return Ed25519PrivateKey.from_private_bytes(read_or_make(home / "audit.key", fresh))


def _locked_head(session: Session, project: str) -> AuditHeadRow:
    query = select(AuditHeadRow).where(AuditHeadRow.project == project).with_for_update()
    locked = query.execution_options(populate_existing=True)
    if (head := session.scalar(locked)) is not None:
        return head
    first = {"project": project, "seq": 0, "digest": GENESIS}
    session.execute(insert_into(session, AuditHeadRow).values(first).on_conflict_do_nothing())
    return session.scalars(locked).one()
