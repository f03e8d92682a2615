"""The audit trail as a chain: each event carries the digest of the one before it.

An event is digested as canonical JSON of all its fields but the digest itself, so a field that is
changed, a row that is taken out and two that change places show at the row where the chain breaks.
A tail that is cut off shows beside a head, signed by the server, that lies outside the database.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.errors import AuditBroken

GENESIS = "0" * 64  # the digest before the first event
DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a project's chain: the number and digest of its newest event; 0 before any."""

    project: str
    seq: int
    digest: str

    def to_bytes(self) -> bytes:
        """The bytes that are signed."""
        fields = {"project": self.project, "seq": self.seq, "digest": self.digest}
        return b"holdfast-audit-head\n" + _canonical(fields)


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head with the server's signature of it and the public key to check it with, in base64."""

    head: Head
    signature: str
    public_key: str


def digest_of(event: Mapping[str, Any]) -> str:
    """64 hex over all fields of an event but its own digest."""
    return hashlib.sha256(
        _canonical({name: value for name, value in event.items() if name != DIGEST})
    ).hexdigest()


def verify(project: str, events: Iterable[Mapping[str, Any]]) -> Head:
    """The head that a project's events lead to, oldest first; AuditBroken names the first fault."""
    head = Head(project, 0, GENESIS)
    for event in events:
        seq, expected = event.get("seq"), head.seq + 1
        if event.get("project") != project:
            raise AuditBroken(f"event {seq} is of the project {event.get('project')!r}")
        if seq != expected:
            raise AuditBroken(f"event {expected} is missing or out of place: {seq} comes instead")
        if event.get("previous") != head.digest:
            raise AuditBroken(f"event {seq} does not follow the event before it, which was changed")
        if event.get(DIGEST) != digest_of(event):
            raise AuditBroken(f"event {seq} is not what was written: its digest is another")
        head = Head(project, expected, str(event[DIGEST]))
    return head


def verify_heads(
    found: Head,
    signed: Iterable[SignedHead],
    events: Sequence[Mapping[str, Any]],
    trusted: Collection[str],
) -> None:
    """AuditBroken unless trusted keys signed the heads and the verified events still hold them.

    `found` is what `verify` made of the events, which are numbered from 1 without a gap.
    """
    for entry in signed:
        verify_signature(entry.head, entry.signature, entry.public_key)
        if entry.public_key not in trusted:
            raise AuditBroken(
                f"the head of event {entry.head.seq} was signed by the key {entry.public_key}, "
                f"expected {' or '.join(trusted)}; where it is another server's of yours, name "
                "all their keys with --trusted-key"
            )
        verify_head(found, entry.head, events)


def verify_head(found: Head, kept: Head, events: Sequence[Mapping[str, Any]]) -> None:
    """AuditBroken unless the verified events of a chain still hold a head of it from earlier."""
    if kept.project != found.project:
        raise AuditBroken(f"the head is of the project {kept.project!r}, not {found.project!r}")
    if found.seq < kept.seq:
        raise AuditBroken(f"the trail ends at event {found.seq}, but had {kept.seq} before: cut")
    if kept.seq and events[kept.seq - 1][DIGEST] != kept.digest:
        raise AuditBroken(f"event {kept.seq} is another than the head that was kept of it")


def verify_signature(head: Head, signature: str, public_key: str) -> None:
    """AuditBroken unless the server's Ed25519 key (both base64) signed this head."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), head.to_bytes())
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise AuditBroken(
            f"the head of event {head.seq} is not signed by the key {public_key[:16]}…"
        ) from error


def _canonical(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
