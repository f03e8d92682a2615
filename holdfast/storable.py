"""Text and JSON as both databases can hold them: what PostgreSQL cannot is escaped, and undone.

PostgreSQL has no U+0000 and no half of a surrogate pair in `text` and `jsonb`, and `jsonb` has no
number that is not finite. Models say such characters, names of files and of task rows may hold
them. Escaped on the way in and undone on reading, so a judge reads of a stored answer exactly the
words that it reads live, and a path leads where it led; a replacement would keep neither. A number
that is not finite is stored as null, as scores are. On SQLite it is the same, though it could hold
more: one row means one thing.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

ESCAPE = "\u241b"  # ␛, the symbol for escape, to be seen where somebody looks at a row
_CODE = "0000|241b|d[89a-f][0-9a-f]{2}"
_UNSTORABLE = re.compile(f"[\0\ud800-\udfff]|{ESCAPE}(?={_CODE})")
_ESCAPED = re.compile(f"{ESCAPE}({_CODE})")
_SUSPECT = re.compile(r"\\u0000|\\ud[89a-f]|\\u241b|NaN|Infinity")  # in ASCII JSON; mostly nothing


def escape(text: str) -> str:
    """The text with ␛0000 for U+0000 and so on; any other text, but for such escapes, as it is."""
    return _UNSTORABLE.sub(lambda match: f"{ESCAPE}{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def dumps(document: Any) -> str:
    """JSON that both databases take."""
    text = json.dumps(document)
    return json.dumps(_mapped(document, escape), allow_nan=False) if _SUSPECT.search(text) else text


def loads(stored: str | bytes) -> Any:
    """The inverse of `dumps`; PostgreSQL gives ␛ as a character, SQLite in ASCII as it was."""
    text = stored if isinstance(stored, str) else stored.decode()
    document = json.loads(text)
    return _mapped(document, unescape) if ESCAPE in text or r"\u241b" in text else document


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {_mapped(name, change): _mapped(entry, change) for name, entry in value.items()}
        case list() | tuple():
            return [_mapped(entry, change) for entry in value]
    return value
