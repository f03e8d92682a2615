"""Command-line options as request bodies; what does not fit is the command line's fault."""

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.api.wire import AliasOf
from holdfast.cli.command import Usage
from holdfast.errors import first_problem
from holdfast.ids import ALIAS
from holdfast.stack.connect import location

_Body = TypeVar("_Body", bound=BaseModel)


def body(kind: type[_Body], **fields: Any) -> _Body:
    """A request body; Usage names the first field that does not fit."""
    try:
        return kind(**fields)
    except ValidationError as error:
        value = error.errors()[0]["input"]
        raise Usage(f"{first_problem(error, 'the words')} (found {value!r:.80})") from error


def nest_options(options: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Options with dotted keys as the objects that they stand in."""
    tree: dict[str, Any] = {}
    for key, value in options:
        *groups, name = key.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise Usage(f"option {key}: {group} is given as a value already; give one of both")
        if name in place:
            raise Usage(f"option {key} is given twice; give it once")
        place[name] = value
    return tree


def baseline(named: str) -> AliasOf | str:
    """A baseline as requests name it, an alias, folder or id; Usage where it is none."""
    if named.startswith(ALIAS):
        return body(AliasOf, alias=named.removeprefix(ALIAS))
    return location(named)
