"""Which server a client talks to, with which key: the environment's, or this folder's stack."""

import logging
from pathlib import Path

from holdfast.api.client import Client, open_client
from holdfast.api.wire import AliasOf
from holdfast.checkpoints.allowed_roots import SCHEME
from holdfast.errors import CheckpointRefused, InvalidSettings
from holdfast.ids import is_id
from holdfast.report.escapes import for_terminal
from holdfast.settings import Settings, read_settings
from holdfast.stack import stack_file

log = logging.getLogger(__name__)

ALIAS = "alias:"


def connect() -> Client:
    """A client for HOLDFAST_SERVER, or else for the stack that runs in HOLDFAST_HOME.

    HOLDFAST_API_KEY goes to HOLDFAST_SERVER alone: an address from a file never gets a key from
    the environment, and a stack that is found by its file gets the key that lies beside it.
    """
    settings = read_settings()
    announcement = stack_file.running(settings.home) if settings.server is None else None
    if announcement is None:
        return open_client(settings)
    if settings.api_key is not None:
        log.warning(
            "HOLDFAST_API_KEY is not used: the stack in %s has a key of its own; set "
            "HOLDFAST_SERVER to the server that it is for",
            for_terminal(str(settings.home)),
        )
    return Client(announcement.url, read_key(settings))


def read_key(settings: Settings) -> str:
    """The admin key of this folder's stack; InvalidSettings where it is absent or no secret."""
    key = stack_file.read_key(settings.home)
    if key is None:
        raise InvalidSettings(
            f"the key {stack_file.key_file(settings.home)} is missing; put it back, or set "
            "HOLDFAST_SERVER and HOLDFAST_API_KEY"
        )
    return key


def location(text: str) -> str:
    """A checkpoint or file as the server can find it: what lies here by its absolute path.

    Ids, URIs and absolute paths stay as they are, since the server may have what this machine has
    not. Raises CheckpointRefused for a relative path that leads nowhere.
    """
    path = Path(text)
    if path.exists():
        return str(path.absolute())
    if path.is_absolute() or is_id(text, "ckpt") or SCHEME.match(text):
        return text
    raise CheckpointRefused(
        f"{text} does not exist in {Path.cwd()}; check its path "
        "(names on a hub are not looked up: give the folder that was downloaded)"
    )


def baseline_reference(named: str) -> AliasOf | str:
    """A baseline as requests name it: an alias, a folder or an id.

    Raises pydantic's ValidationError for an alias that is no name.
    """
    if named.startswith(ALIAS):
        return AliasOf(alias=named.removeprefix(ALIAS))
    return location(named)
