"""Which server a command talks to, with which key: the environment's, or this folder's stack."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast import stack_file
from holdfast.cli.command import Usage
from holdfast.client import Client, open_client
from holdfast.errors import InvalidSettings
from holdfast.settings import Settings, read_settings

_Body = TypeVar("_Body", bound=BaseModel)


def connect() -> Client:
    """A client for HOLDFAST_SERVER, or else for the stack that runs in HOLDFAST_HOME."""
    settings = read_settings()
    known = stack_file.read(settings.home) if settings.server is None else None
    if known is None:
        return open_client(settings)
    key = settings.api_key or read_key(settings)
    return open_client(settings.model_copy(update={"server": known.url, "api_key": key}))


def read_key(settings: Settings) -> str:
    """The admin key of this folder's stack."""
    path = stack_file.key_file(settings.home)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(
            f"the key {path} cannot be read ({error.strerror}); set HOLDFAST_API_KEY"
        ) from error


def body(kind: type[_Body], **fields: Any) -> _Body:
    """A request body; what does not fit it is the command line's fault."""
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Usage(f"{place}: {first['msg']} (found {first['input']!r:.80})") from error


def location(text: str) -> str:
    """A checkpoint as the server can find it: a folder of this machine by its absolute path."""
    path = Path(text)
    return str(path.absolute()) if path.exists() else text
