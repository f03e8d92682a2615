"""Commands that start processes: the embedded stack, and each of its parts on its own.

`serve` and `worker` become uvicorn and Celery (exec), so that signals and exit codes are theirs;
the same two commands run inside the embedded stack, in docker-compose.yml and in the tests.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from holdfast.cli.command import emit, note
from holdfast.errors import HarnessError, InvalidSettings, Unreachable
from holdfast.settings import (
    PRIVATE_UMASK,
    Settings,
    child_environment,
    make_home,
    private_files,
    read_settings,
)
from holdfast.stack.log_lines import log_to_stderr
from holdfast.stack.own_folder import require_own_folder


def up(options: argparse.Namespace) -> int:
    """Run the embedded stack until SIGINT or SIGTERM."""
    from holdfast.stack import embedded

    log_to_stderr()
    settings = with_roots(with_port(read_settings(), options.port), (Path.cwd(), *options.root))
    ended = _on_signals()
    with embedded.running(settings, ended) as stack:
        roots = [str(root) for root in stack.settings.checkpoint_roots]
        where = {"url": stack.url, "key_file": str(stack.key_file), "roots": roots}
        text = f"Holdfast listens at {stack.url}\nthe admin key lies in {stack.key_file}\n"
        text += f"it reads checkpoints and task data in {', '.join(roots)}"
        emit(options, {**where, "home": str(stack.settings.home)}, text)
        note("Ctrl-C stops it; commands started in this folder find it by themselves")
        stack.watch(ended)
    return 0


def serve(options: argparse.Namespace) -> NoReturn:
    """Become the API server."""
    settings = with_roots(with_port(read_settings(), options.port), ())
    require_head(settings)
    _become(settings, "service")


def worker(_options: argparse.Namespace) -> NoReturn:
    """Become the Celery worker of this machine's queue."""
    settings = with_roots(read_settings(), ())
    require_head(settings)
    os.environ["REMAP_SIGTERM"] = "SIGQUIT"  # Celery's soft shutdown: the job is handed over
    node = f"holdfast-{os.getpid()}@%h"  # one host may run several, of one queue or of two
    _become(
        settings,
        *("celery", "-A", "workers.main", "worker", "-Q", settings.queue, "-n", node),
        *("--without-gossip", "--without-mingle", "-O", "fair"),
    )


def sweep(options: argparse.Namespace) -> int:
    """Free expired leases and repeat lost hints until SIGINT or SIGTERM, or once."""
    from holdfast.db.session import open_database
    from holdfast.queue import producer
    from holdfast.stack import sweeper

    log_to_stderr()
    settings = read_settings()
    if not options.once:
        sweeper.sweep(settings, _on_signals())
        return 0
    require_head(settings)
    database, broker = open_database(settings.database_url), producer(settings)
    resend_after = settings.resend_hint_seconds
    done = sweeper.sweep_once(database, broker, resend_after=resend_after)
    counts = {"requeued": done.requeued, "ended": done.ended, "hints": done.hints}
    emit(options, counts, ", ".join(f"{name} {count}" for name, count in counts.items()))
    return 0


def migrate(options: argparse.Namespace) -> int:
    """Bring the database to this version's revision."""
    from sqlalchemy.exc import OperationalError

    from holdfast.db.migrate import head_revision, upgrade

    settings = read_settings()
    try:
        if settings.database_url.startswith("sqlite"):
            make_home(settings.home)
        require_own_database(settings)
        with private_files():
            upgrade(settings.database_url)
    except OperationalError as error:
        raise Unreachable(f"the database cannot be migrated: {first_line(error)}") from error
    revision = head_revision()
    emit(options, {"revision": revision}, f"the database is at revision {revision}")
    return 0


def with_port(settings: Settings, port: int | None) -> Settings:
    """The settings with the command line's port, where it names one."""
    if port is None:
        return settings
    if not 0 <= port <= 65535:
        raise InvalidSettings(f"--port is {port}, expected 0 to 65535")
    return settings.model_copy(update={"port": port})


def with_roots(settings: Settings, folders: Iterable[Path]) -> Settings:
    """The settings with more folders that checkpoints may lie in; says which of all are absent."""
    roots = dict.fromkeys((*settings.checkpoint_roots, *(folder.absolute() for folder in folders)))
    for root in roots:
        if not root.is_dir():
            note(f"WARNING: checkpoints may lie in {root}, but there is no such folder")
    return settings.model_copy(update={"checkpoint_roots": tuple(roots)})


def require_head(settings: Settings) -> None:
    """Refuse to work on a database of another revision: exit 4, before anything listens.

    InvalidSettings where it lies in a data folder that may have come with a repository.
    """
    from sqlalchemy.exc import OperationalError

    from holdfast.db.migrate import open_checked

    require_own_database(settings)
    try:
        open_checked(settings.database_url).dispose()
    except InvalidSettings as error:
        raise HarnessError(str(error)) from error
    except OperationalError as error:
        raise Unreachable(f"the database does not answer: {first_line(error)}") from error


def require_own_database(settings: Settings) -> None:
    """Raise InvalidSettings where the database is a file in a data folder that is not ours."""
    if settings.database_url.startswith("sqlite") and settings.home.is_dir():
        require_own_folder(settings.home)


def first_line(error: Exception) -> str:
    """The first line of an error: SQLAlchemy's messages go on with the statement and a link."""
    return str(error).splitlines()[0]


def _on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set; a second one does not cut the shutdown short."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return ended


def _become(settings: Settings, *module_and_arguments: str) -> NoReturn:
    """Exec a module of ours in a folder of ours: both programs put the working directory first."""
    os.umask(PRIVATE_UMASK)  # of every process that it starts as well
    make_home(settings.home)
    folder = settings.home / "run"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    command = (sys.executable, "-m", *module_and_arguments)
    sys.stdout.flush()
    os.execve(sys.executable, command, child_environment(settings))  # noqa: S606  no shell wanted
