"""API keys: who calls, for which project, and what they may do.

A key reads `holdfast_live_<8 characters that name it>_<43 of secret>_<checksum>`: the
prefix and the checksum let a secret scanner find one that leaked and let us refuse a mistyped one
without a query. Only an HMAC of the secret is stored. The secret has 256 bits of chance, so a fast
hash is enough; the pepper lies outside the database, so that a stolen copy of it is of no use.
"""

import hashlib
import hmac
import os
import re
import secrets
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.jobs import now
from holdfast.db.tables import ApiKey
from holdfast.errors import Conflict, Forbidden, InvalidSettings, NotFound, Unauthorized
from holdfast.ids import new_id
from holdfast.principals import person_named, require_project_name
from holdfast.scopes import Scope, held_scopes
from holdfast.settings import Settings, make_home

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ENVIRONMENT = "live"
SECRET_DIGITS = 43  # 62 ** 43 > 2 ** 256
CHECKSUM_DIGITS = 6
KEY = re.compile(r"holdfast_live_([0-9A-Za-z]{8})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})")
USED_EVERY = timedelta(hours=1)  # how fine `last_used_at` is: not a write for every request


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, with a good key; `use_noted` if its use was written down within the hour.

    `principal` is the person that the key stands for; None where nobody said who.
    """

    key_id: str
    project: str
    scopes: frozenset[str]
    use_noted: bool
    principal: str | None = None

    def may(self, scope: str) -> bool:
        """Whether the key has a scope, or stands for it."""
        return scope in held_scopes(self.scopes)


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key's row and, this one time, the key itself."""

    row: ApiKey
    token: str


def read_pepper(settings: Settings) -> bytes:
    """The pepper of the settings, or the one made once in the data folder (mode 0600)."""
    if settings.key_pepper is not None:
        return settings.key_pepper.encode()
    return read_or_make(settings.home / "pepper", secrets.token_hex(32).encode())


def read_or_make(path: Path, content: bytes) -> bytes:
    """A secret of the data folder (mode 0600): what is there, or else this content from now on."""
    make_home(path.parent)
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    try:
        os.link(made, path)  # whoever is first wins, and nobody reads half a file
    except FileExistsError:
        pass
    finally:
        made.unlink()
    secret = path.read_bytes()
    if not secret:
        raise InvalidSettings(
            f"{path} is empty; put the old one back, or remove it and whatever depends on it"
        )
    return secret


def create_key(
    session: Session,
    pepper: bytes,
    project: str,
    *,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime | None = None,
) -> CreatedKey:
    """Make a key, nobody's yet; the token is in the result and nowhere else.

    Raises CallerError for a name that cannot be a project's.
    """
    handle, secret = _random_digits(8), _random_digits(SECRET_DIGITS)
    body = f"holdfast_{ENVIRONMENT}_{handle}_{secret}"
    row = ApiKey(
        id=new_id("key"),
        handle=handle,
        project=require_project_name(project),
        name=name,
        secret_hmac=_hmac(pepper, secret),
        scopes=sorted(set(scopes)),
        created_at=now(session),
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return CreatedKey(row, f"{body}_{_checksum(body)}")


def mint_key(
    session: Session,
    pepper: bytes,
    minter: Caller,
    *,
    principal: str | None,
    scopes: Collection[Scope],
    expires_at: datetime | None,
    **fields: Any,
) -> CreatedKey:
    """Make a key by means of another, in its project; for `principal`, else for the minter's.

    It ends no later than the minter. Raises Forbidden where the minter has not itself what the new
    key is to have.
    """
    if missing := {*scopes} - held_scopes(minter.scopes):
        raise Forbidden(f"a key mints no {', '.join(sorted(missing))} that it has not itself")
    ends = session.get_one(ApiKey, minter.key_id).expires_at
    if ends is not None and expires_at is not None and expires_at > ends:
        raise Forbidden(f"a key mints none that outlives it, and this ends at {ends.isoformat()}")
    fields["expires_at"] = expires_at or ends
    made = create_key(session, pepper, minter.project, scopes=scopes, **fields)
    made.row.minted_by = minter.key_id
    made.row.principal = minter.principal if principal is None else person_named(principal)
    return made


def find_caller(session: Session, pepper: bytes, token: str) -> Caller:
    """Who a token belongs to; Unauthorized, in the same words whatever is wrong with it."""
    refused = Unauthorized("the key is unknown, expired or revoked; make one with `holdfast keys`")
    match = KEY.fullmatch(token)
    if match is None or _checksum(token.rpartition("_")[0]) != match[3]:
        raise refused
    row = session.scalars(select(ApiKey).where(ApiKey.handle == match[1])).one_or_none()
    expected = row.secret_hmac if row else "0" * 64
    if not hmac.compare_digest(_hmac(pepper, match[2]), expected) or row is None:
        raise refused
    moment = now(session)
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= moment):
        raise refused
    use_noted = row.last_used_at is not None and moment - row.last_used_at < USED_EVERY
    return Caller(row.id, row.project, frozenset(row.scopes), use_noted, row.principal)


def note_use(session: Session, key_id: str) -> None:
    """Remember when a key was last used; called where `Caller.use_noted` is false."""
    session.get_one(ApiKey, key_id).last_used_at = now(session)


def list_keys(session: Session, project: str) -> Sequence[ApiKey]:
    """A project's keys, newest first, the revoked ones too."""
    return session.scalars(
        select(ApiKey).where(ApiKey.project == project).order_by(ApiKey.id.desc())
    ).all()


def revoke_key(session: Session, project: str, key_id: str) -> ApiKey:
    """End a key at once; Conflict when it is revoked already."""
    row = session.get(ApiKey, key_id, with_for_update=True)
    if row is None or row.project != project:
        raise NotFound(f"no key {key_id} in project {project}")
    if row.revoked_at is not None:
        raise Conflict(f"{key_id} was revoked at {row.revoked_at.isoformat()} already")
    row.revoked_at = now(session)
    return row


def _hmac(pepper: bytes, secret: str) -> str:
    return hmac.new(pepper, secret.encode(), hashlib.sha256).hexdigest()


def _random_digits(count: int) -> str:
    return "".join(secrets.choice(DIGITS) for _ in range(count))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_DIGITS):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits
