"""Signs the end of every project's chain about hourly and keeps it in a file of the data folder.

Not in a table: whoever can cut the trail in the database can cut such a table with it. The file is
appended to by the API, which has the key and answers for the file; a database administrator
reaches neither. All API processes of a data folder share file and key, so a lock on the file keeps
them to one signature a project and hour.
"""

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from holdfast.db.session import reading
from holdfast.errors import AuditBroken
from holdfast.projects.audit import all_heads, holds, public_key_text, sign_head
from holdfast.projects.chain import Head, SignedHead

log = logging.getLogger(__name__)

FILE = "audit-heads.jsonl"
SIGN_EVERY = timedelta(hours=1)
LOOK_SECONDS = 300.0  # so that one who restarts often signs hourly too


@dataclass(frozen=True, slots=True)
class DatedHead:
    """A line of the file: a signed head, and when the server's clock said it was signed."""

    signed: SignedHead
    at: datetime

    def to_line(self) -> bytes:
        """The line, which `holdfast audit verify --head` reads too."""
        fields = asdict(self.signed.head) | {
            "signature": self.signed.signature,
            "public_key": self.signed.public_key,
            "signed_at": self.at.isoformat(),
        }
        return json.dumps(fields, sort_keys=True).encode() + b"\n"


def keep_signing(
    database: Engine, home: Path, key: Ed25519PrivateKey, ended: threading.Event
) -> None:
    """Sign what is due, now and every few minutes until `ended`; a failure is logged."""
    over = False
    while not over:
        try:
            sign_moved_heads(database, home, key, datetime.now(UTC))
        except (DBAPIError, OSError, AuditBroken) as error:
            log.warning("heads of the audit trail are not signed: %s", str(error).splitlines()[0])
        over = ended.wait(LOOK_SECONDS)


def sign_moved_heads(
    database: Engine, home: Path, key: Ed25519PrivateKey, moment: datetime
) -> tuple[Head, ...]:
    """Sign each project's head that moved since this key signed one an hour ago, or ever.

    A chain that no longer holds what was signed is not signed on: that is an error in the log.
    """
    with _locked(home / FILE) as file:
        public = public_key_text(key)
        latest = {
            line.signed.head.project: line
            for line in _dated_heads(file, home / FILE)
            if line.signed.public_key == public
        }
        with reading(database) as session:
            due = tuple(
                head
                for head in all_heads(session)
                if _is_due(session, head, latest.get(head.project), moment)
            )
        for head in due:
            file.write(DatedHead(sign_head(head, key), moment).to_line())
        file.flush()
        os.fsync(file.fileno())
    return due


def read_signed_heads(home: Path, project: str) -> Iterator[SignedHead]:
    """A project's signed heads, oldest first; AuditBroken where the file is not as it was."""
    with suppress(FileNotFoundError), (home / FILE).open("rb") as file:
        for line in _dated_heads(file, home / FILE):
            if line.signed.head.project == project:
                yield line.signed


def _is_due(session: Session, head: Head, before: DatedHead | None, moment: datetime) -> bool:
    if before is not None and before.signed.head == head:
        return False
    for signed in (head, *(() if before is None else (before.signed.head,))):
        if not holds(session, signed) or signed.seq > head.seq:
            log.error(
                "the audit trail of project %s lacks event %d as it was signed: it was cut or "
                "changed; `holdfast audit verify` says more",
                *(signed.project, signed.seq),
            )
            return False
    return before is None or not timedelta(0) <= moment - before.at < SIGN_EVERY


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The file at its end, held by nobody else; a line that a crash cut short is taken out."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        whole = file.seek(0) + sum(len(line) for line in file if line.endswith(b"\n"))
        file.truncate(whole)
        file.seek(0)
        yield file


def _dated_heads(file: BinaryIO, path: Path) -> Iterator[DatedHead]:
    """The lines of the file from its beginning; the last one may be just being written."""
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            return
        try:
            fields = json.loads(line)
            head = Head(fields["project"], fields["seq"], fields["digest"])
            signed = SignedHead(head, fields["signature"], fields["public_key"])
            yield DatedHead(signed, datetime.fromisoformat(fields["signed_at"]))
        except (ValueError, KeyError, TypeError) as error:
            raise AuditBroken(
                f"{path}, line {number}, is no signed head: somebody wrote into the file; put a "
                "copy of it back, or set it aside and keep it"
            ) from error
