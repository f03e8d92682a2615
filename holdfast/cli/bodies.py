"""What a command line says, as a request body; what does not fit is the command line's fault."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.cli.command import Usage
from holdfast.connect import ALIAS, location
from holdfast.wire import AliasOf

_Body = TypeVar("_Body", bound=BaseModel)


def body(kind: type[_Body], **fields: Any) -> _Body:
    """A request body; Usage names the first field that does not fit."""
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Usage(f"{place}: {first['msg']} (found {first['input']!r:.80})") from error


def baseline(named: str) -> AliasOf | str:
    """A baseline as the server is told it: an alias, or a folder or id."""
    if named.startswith(ALIAS):
        return body(AliasOf, alias=named.removeprefix(ALIAS))
    return location(named)
