"""The embedded stack: Redis, API, worker and sweeper as child processes of one launcher.

For a laptop, a CI machine and the demo; production starts the same commands from
docker-compose.yml, only with two other URLs. Every child has a session of its own, so that Ctrl-C
reaches the launcher alone, which then ends them in order: the worker hands its job over before the
broker goes. A child that dies is started again, later each time. What a killed launcher left
behind is ended by the next one, by process id and birth, from `stack.json`.

Each child runs with PYTHONSAFEPATH, a working directory inside the data folder and fully named
modules: a user's own packages named `service` or `training` are never imported.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from kombu.exceptions import OperationalError

from holdfast.db import keys
from holdfast.db.migrate import upgrade
from holdfast.db.session import open_database, transaction
from holdfast.errors import HarnessError, InvalidSettings, Unreachable
from holdfast.queue import producer
from holdfast.scopes import SCOPES
from holdfast.settings import (
    Settings,
    child_environment,
    embedded_broker_url,
    make_home,
    private_files,
)
from holdfast.stack import redis_server, stack_file
from holdfast.stack.own_folder import require_own_folder
from holdfast.stack.processes import kill_those, session_of

log = logging.getLogger(__name__)

PROJECT = "default"
SERVICES = ("api", "worker", "sweeper")
SUBCOMMAND = {"api": "serve", "worker": "worker", "sweeper": "sweep"}
GRACE_SECONDS = {"api": 25.0, "worker": 40.0, "sweeper": 20.0, "redis": 10.0}
READY_SECONDS = 300.0  # a child that died is noticed at once; this bounds one that hangs
STEP_SECONDS = 0.05
FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS = 1.0, 30.0, 60.0


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    restart_at: float | None = None


class Stack:
    """The running children of one data folder; made by `running` only."""

    def __init__(self, settings: Settings) -> None:
        """`settings.port` is the port to listen on; nothing is started yet."""
        self.settings = settings
        self.url = local_url(settings.host, settings.port)
        self.key_file = stack_file.key_file(settings.home)
        self._environment = child_environment(settings)
        self._children: dict[str, _Child] = {}

    def start(self, ended: threading.Event) -> None:
        """Start everything and wait until it answers; HarnessError says what did not."""
        for name in ("log", "run", "checkpoints"):
            (self.settings.home / name).mkdir(exist_ok=True)
        self._start_redis()
        upgrade(self.settings.database_url)
        _first_key(self.settings)
        for name in SERVICES:
            self._spawn(name)
        self._wait("api", self._api_answers, ended)
        self._wait("worker", self._worker_answers, ended)

    def watch(self, ended: threading.Event, *, every: float = 0.5) -> None:
        """Restart what dies until `ended` is set; HarnessError when Redis cannot be had back."""
        while not ended.wait(every):
            for name, child in list(self._children.items()):
                if child.process.poll() is not None:
                    self._revive(name, child)

    def stop(self) -> None:
        """End every child, the broker last; returns when nothing of them is left."""
        for name in SERVICES:
            self._signal(name)
        for name in (*SERVICES, "redis"):
            if name == "redis":
                self._signal(name)
            self._reap(name)
        stack_file.remove(self.settings.home)

    def _revive(self, name: str, child: _Child) -> None:
        moment = time.monotonic()
        if child.restart_at is None:
            steady = moment - child.started > STEADY_SECONDS
            child.deaths = 1 if steady else child.deaths + 1
            delay = min(FIRST_DELAY * 2 ** (child.deaths - 1), LONGEST_DELAY)
            child.restart_at = moment + delay
            code = child.process.returncode
            log.warning("%s ended with %d, started again in %.0f s", name, code, delay)
            self._kill_rest(child.process)
        elif moment >= child.restart_at and name == "redis":
            self._start_redis()
        elif moment >= child.restart_at:
            self._spawn(name)

    def _start_redis(self) -> None:
        self._spawn("redis", redis_server.prepare(self.settings))
        process = self._children["redis"].process
        if not redis_server.wait_ready(self.settings.redis_socket, lambda: process.poll() is None):
            raise HarnessError(f"Redis does not start: {self._last_words('redis')}")

    def _spawn(self, name: str, command: list[str] | None = None) -> None:
        ours = [sys.executable, "-m", "holdfast.cli", SUBCOMMAND.get(name, "")]
        with private_files(), self._log_file(name).open("ab") as output:
            process = subprocess.Popen(
                command or ours,
                cwd=self.settings.home / "run",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        before = self._children.get(name)
        deaths = before.deaths if before else 0
        self._children[name] = _Child(process, time.monotonic(), deaths)
        self._announce()

    def _announce(self) -> None:
        pids = {name: child.process.pid for name, child in self._children.items()}
        stack_file.write(self.settings.home, self.url, pids)

    def _wait(self, name: str, answers: Callable[[], bool], ended: threading.Event) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not answers():
            if ended.wait(STEP_SECONDS):
                raise HarnessError(f"stopped while the {name} was starting")
            if self._children[name].process.poll() is not None:
                raise HarnessError(f"the {name} does not start: {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise HarnessError(
                    f"the {name} did not answer within {READY_SECONDS:.0f} s; "
                    f"see {self._log_file(name)}"
                )

    def _api_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _worker_answers(self) -> bool:
        broker = producer(self.settings)
        try:
            return bool(broker.control.ping(timeout=0.5, limit=1))
        except OperationalError as error:
            raise Unreachable(f"the embedded Redis went away: {error}") from error
        finally:
            broker.close()

    def _signal(self, name: str) -> None:
        if name in self._children and self._children[name].process.poll() is None:
            self._children[name].process.terminate()

    def _reap(self, name: str) -> None:
        if name not in self._children:
            return
        process = self._children[name].process
        try:
            process.wait(GRACE_SECONDS[name])
        except subprocess.TimeoutExpired:
            log.warning("%s did not end within %.0f s, killed", name, GRACE_SECONDS[name])
        self._kill_rest(process)

    def _kill_rest(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what outlived a child in its session, and the child itself if it hangs."""
        process.kill()
        kill_those(session_of(process.pid))
        process.wait()

    def _log_file(self, name: str) -> Path:
        return self.settings.home / "log" / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log_file(name).read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{last} (more in {self._log_file(name)})"


@contextmanager
def running(settings: Settings, ended: threading.Event) -> Iterator[Stack]:
    """A stack that is ready, and stopped at the end; Conflict when the folder has one already."""
    if settings.broker_url != embedded_broker_url(settings.home):
        raise InvalidSettings(
            "HOLDFAST_BROKER_URL is set, but the embedded stack brings its own broker; unset it, "
            "or start `holdfast serve`, `worker` and `sweep` one by one"
        )
    make_home(settings.home)
    require_own_folder(settings.home)
    with stack_file.only_launcher(settings.home):
        stack_file.end_leftovers(settings.home, GRACE_SECONDS["worker"])
        stack = Stack(settings.model_copy(update={"port": _port(settings)}))
        try:
            with private_files():  # not the reports that a caller writes while it runs
                stack.start(ended)
            yield stack
        finally:
            stack.stop()


def local_url(host: str, port: int) -> str:
    """How this machine reaches what listens at an address, also where that is every address."""
    place = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  never bound here
    return f"http://[{place}]:{port}" if ":" in place else f"http://{place}:{port}"


def _port(settings: Settings) -> int:
    """The port asked for; the usual one or, where it is taken, any; HarnessError if none."""
    configured = settings.port if "port" in settings.model_fields_set else None
    for port in (settings.port, 0) if configured is None else (configured,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((settings.host, port))
                return int(probe.getsockname()[1])
    raise HarnessError(f"port {configured} of {settings.host} is taken; choose another with --port")


def _first_key(settings: Settings) -> None:
    """Make the folder's admin key, once; its file is the only copy."""
    if stack_file.read_key(settings.home) is not None:
        return
    database = open_database(settings.database_url)
    with transaction(database) as session:
        made = keys.create_key(
            session, keys.read_pepper(settings), PROJECT, name="embedded", scopes=SCOPES
        )
    database.dispose()
    path = stack_file.key_file(settings.home)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made.token + "\n")
