"""Cursors: the key of the last entry of a page, opaque to whoever carries it.

Also the shape of ids in paths: what does not look like one is not found, and no query is made.
"""

import base64
import json
from typing import Annotated

from fastapi import Query
from starlette.convertors import Convertor, register_url_convertor

from holdfast import storable
from holdfast.errors import CallerError

IdCursor = Annotated[
    str | None,
    Query(pattern=r"^[a-z]+_[0-9a-f]{32}$", description="`next_cursor` of the page before."),
]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^[A-Za-z0-9_=-]{1,1000}$", description="`next_cursor` of the page before."),
]


class IdConvertor(Convertor[str]):
    """Ids as `holdfast.ids` makes them; `:` and what follows belongs to the route."""

    regex = "[a-z]+_[0-9a-f]{32}"

    def convert(self, value: str) -> str:
        """The id."""
        return value

    def to_string(self, value: str) -> str:
        """The id."""
        return value


def register_convertors() -> None:
    """Make `{name:id}` known to the router; called before any route is made."""
    register_url_convertor("id", IdConvertor())


def encode(*key: str) -> str:
    """A cursor for a key of several parts."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def decode(cursor: str, parts: int) -> tuple[str, ...]:
    """The key of a cursor; CallerError for one that we never gave out."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, RecursionError) as error:
        raise _foreign(cursor) from error
    texts = isinstance(key, list) and all(isinstance(part, str) for part in key)
    if not texts or len(key) != parts or encode(*map(storable.escape, key)) != cursor:
        raise _foreign(cursor)
    return tuple(key)


def _foreign(cursor: str) -> CallerError:
    return CallerError(f"cursor {cursor[:40]!r} is not one of ours; send `next_cursor` as it came")
