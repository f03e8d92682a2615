"""Which server a client talks to, with which key: the environment's, or this folder's stack."""

import logging
from pathlib import Path

from holdfast.api.client import Client, open_client
from holdfast.api.wire import AliasOf
from holdfast.checkpoints.allowed_roots import SCHEME
from holdfast.errors import CheckpointRefused, InvalidSettings
from holdfast.ids import ALIAS, is_id, names_no_path
from holdfast.report.escapes import for_terminal
from holdfast.settings import Settings, read_settings
from holdfast.stack import stack_file

log = logging.getLogger(__name__)


def connect(*, patient: bool = False) -> Client:
    """A client for HOLDFAST_SERVER, or else for the stack that runs in HOLDFAST_HOME.

    One that is `patient` rides out a restart of the server where it begins work.

    HOLDFAST_API_KEY goes to HOLDFAST_SERVER alone: an address from a file never gets a key from
    the environment, and a stack that is found by its file gets the key that lies beside it.
    """
    settings = read_settings()
    patience = settings.patience_seconds if patient else 0.0
    announcement = stack_file.running(settings.home) if settings.server is None else None
    if announcement is None:
        return open_client(settings, patience)
    if settings.api_key is not None:
        log.warning(
            "HOLDFAST_API_KEY is not used: the stack in %s has a key of its own; set "
            "HOLDFAST_SERVER to the server that it is for",
            for_terminal(str(settings.home)),
        )
    return Client(announcement.url, read_key(settings), patience=patience)


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
    """A checkpoint as the server can find it: an id, or a path as `path_location` has it."""
    return text if is_id(text, "ckpt") else path_location(text)


def path_location(text: str) -> str:
    """A folder or file as the server can find it: what lies here by its absolute path.

    URIs and absolute paths stay as they are, since the server may have what this machine has not.
    Raises CheckpointRefused for a relative path that leads nowhere, and for an id or an alias.
    """
    path = local_path(text)
    if path is not None and path.exists():
        return str(path.absolute())
    if Path(text).is_absolute() or SCHEME.match(text):
        return text
    if path is None:
        raise CheckpointRefused(
            f"{text} is an id or an alias of something else, expected a path; for a folder or file "
            f"of that name write ./{text}"
        )
    raise CheckpointRefused(
        f"{text} does not exist in {Path.cwd()}; check its path "
        "(names on a hub are not looked up: give the folder that was downloaded)"
    )


def local_path(text: str) -> Path | None:
    """The path on this machine that a text is; None for an id, an alias or a URI.

    What is named like one of these and lies in the working folder is never taken for it.
    """
    return None if names_no_path(text) or SCHEME.match(text) else Path(text)


def baseline_reference(named: str) -> AliasOf | str:
    """A baseline as requests name it: an alias, a folder or an id.

    Raises pydantic's ValidationError for an alias that is no name.
    """
    if named.startswith(ALIAS):
        return AliasOf(alias=named.removeprefix(ALIAS))
    return location(named)
