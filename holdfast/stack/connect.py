"""Which server a client talks to, with which key: the environment's, or this folder's stack."""

from pathlib import Path

from holdfast.api.client import Client, open_client
from holdfast.api.wire import AliasOf
from holdfast.checkpoints.allowed_roots import SCHEME
from holdfast.errors import CheckpointRefused, InvalidSettings
from holdfast.ids import is_id
from holdfast.settings import Settings, read_settings
from holdfast.stack import stack_file

ALIAS = "alias:"


def connect() -> Client:
    """A client for HOLDFAST_SERVER, or else for the stack that runs in HOLDFAST_HOME."""
    settings = read_settings()
    announcement = stack_file.read(settings.home) if settings.server is None else None
    if announcement is None:
        return open_client(settings)
    key = settings.api_key or read_key(settings)
    return open_client(settings.model_copy(update={"server": announcement.url, "api_key": key}))


def read_key(settings: Settings) -> str:
    """The admin key of this folder's stack."""
    path = stack_file.key_file(settings.home)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(
            f"the key {path} cannot be read ({error.strerror}); set HOLDFAST_API_KEY"
        ) from error


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
