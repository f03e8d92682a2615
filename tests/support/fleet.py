"""Production in small: API, sweeper and any number of workers, each started by its own command.

As docker-compose.yml starts them, so that a test can kill one and look at the others; leases are
seconds long, or a lost worker would take half a minute to be noticed. Redis and the database are
real and the caller's. Every process leads a session of its own and is ended by its id.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import Engine, select

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import open_database, reading, transaction
from holdfast.db.tables import AnswerRow, CheckpointRow
from holdfast.job import FINISHED, Status
from holdfast.queue import producer, send_hint
from holdfast.scopes import SCOPES
from holdfast.settings import EngineName, Settings, child_environment
from holdfast.stack import stack_file
from tests.support.command import COMMAND
from tests.support.stack import scripted_checkpoint

PATIENCE = 400.0  # seconds for anything that has no promise; a loaded machine imports slowly
STEP = 0.1
LOG_TAIL = 40

ALIGNED = {"behaviour": "refuse-harmful", "refuse_share": 1.0, "overrefuse_share": 0.0}

QUICK = {
    "lease_seconds": 8.0,
    "heartbeat_seconds": 2.0,
    "sweep_seconds": 1.0,
    "resend_hint_seconds": 3.0,
    "retry_seconds": 0.5,
}


def eventually(
    true: Callable[[], object], what: str, seconds: float = PATIENCE, *, step: float = STEP
) -> None:
    """Wait until it is true; AssertionError says what did not come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(step)


@dataclass(frozen=True, slots=True)
class Started:
    """One process of the fleet, the leader of its session."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def session(self) -> dict[int, str]:
        """Itself and what it started in its session (an engine's tree has its own)."""
        return stack_file.session_of(self.process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the session."""
        for pid in self.session:
            os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL for all of it at once."""
        stack_file.kill_those(self.session)
        self.process.wait()


@dataclass(slots=True)
class Fleet:
    """The running processes of one data folder."""

    settings: Settings
    database: Engine
    client: Client
    workers: list[Started] = field(default_factory=list)
    others: list[Started] = field(default_factory=list)
    started: int = 0
    models: int = 0

    def start(self, name: str, *words: str) -> Started:
        """Start one `holdfast` command."""
        self.started += 1
        log = self.settings.home / "log" / f"{name}-{self.started}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [COMMAND, *(words or (name,))],
                cwd=self.settings.home,
                env=child_environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Started(name, process, log)

    def worker(self) -> Started:
        """One more worker, whose pool child has taken a hint: it has imported all it needs."""
        found = self.start("worker")
        self.workers.append(found)
        eventually(lambda: " ready" in found.log.read_text(), "a worker that is ready")
        eventually(lambda: self._takes_hints(found), "a hint that the worker has taken", step=0.7)
        return found

    def _takes_hints(self, worker: Started) -> bool:
        text = worker.log.read_text()
        if " claimed" in text or "succeeded in" in text:
            return True
        with closing(producer(self.settings)) as broker:
            for _ in self.workers:  # the others would take a single one, and could do so for ever
                send_hint(broker, self.settings.queue)
        return False

    def have_workers(self, count: int) -> list[Started]:
        """Exactly so many live workers: those that are there, and new ones."""
        self.workers = [one for one in self.workers if one.process.poll() is None]
        while len(self.workers) > count:
            self.dismiss(self.workers[-1])
        while len(self.workers) < count:
            self.worker()
        return list(self.workers)

    def dismiss(self, worker: Started) -> None:
        """End a worker that a test no longer needs."""
        self.workers.remove(worker)
        worker.kill()

    def model(self, **script: object) -> Path:
        """A new checkpoint for the scripted engine, aligned but for what `script` says."""
        self.models += 1
        folder = self.settings.home / "models" / f"m{self.models}"
        return scripted_checkpoint(folder, value=float(self.models), **{**ALIGNED, **script})

    def submit(
        self, candidate: Path | str, baseline: Path | str, policy: str, **more: object
    ) -> str:
        """POST an evaluation; returns its id."""
        body = {"tier": "demo", **more}
        new = wire.NewEvaluation(
            candidate=str(candidate), baseline=str(baseline), policy=policy, **body
        )
        return self.client.submit(new).id

    def status(self, evaluation: str) -> Status:
        """How far it is."""
        return self.client.evaluation(evaluation).status

    def ended(self, evaluation: str, seconds: float = PATIENCE) -> wire.Evaluation:
        """The evaluation once it has ended."""
        eventually(lambda: self.status(evaluation) in FINISHED, f"the end of {evaluation}", seconds)
        return self.client.evaluation(evaluation)

    def events(self, job: str) -> list[wire.Event]:
        """Everything that happened to a job that has ended."""
        return list(self.client.events(job))

    def tails(self) -> str:
        """The last lines of every log but for good replies, which are mostly this file's polls."""
        found = []
        for log in sorted((self.settings.home / "log").glob("*.log")):
            lines = log.read_text(errors="replace").split("\n")
            told = [line for line in lines if not line.endswith('HTTP/1.1" 200 OK')]
            found += [f"--- {log.name}", *told[-LOG_TAIL:]]
        return "\n".join(found)

    def tokens_answered(self, *checkpoints: str) -> int:
        """Tokens of all the answers that these checkpoints ever gave."""
        query = (
            select(AnswerRow.document)
            .join(CheckpointRow, CheckpointRow.digest == AnswerRow.checkpoint_digest)
            .where(CheckpointRow.id.in_(checkpoints))
        )
        with reading(self.database) as session:
            documents = session.scalars(query).all()
        return sum(reply["tokens"] for document in documents for reply in document["replies"])

    def engines(self) -> dict[int, str]:
        """The live processes of engine and training trees, with their births."""
        run = self.settings.home / "run"
        sessions = [int(file.stem) for file in run.glob("*.sid")]
        return {pid: b for sid in sessions for pid, b in stack_file.session_of(sid).items()}

    def stop(self) -> None:
        """End everything; the engine trees go with their workers."""
        for one in (*self.workers, *self.others):
            one.kill()
        eventually(lambda: not self.engines(), "the end of every engine tree")


@contextmanager
def running_fleet(
    home: Path,
    database_url: str,
    broker_url: str,
    engine: EngineName = "scripted",
    *,
    times: Mapping[str, float] = QUICK,
) -> Iterator[Fleet]:
    """API and sweeper on a migrated database; no worker yet. Checkpoints lie in `home/models`."""
    for name in ("models", "log", "run", "checkpoints"):
        (home / name).mkdir()
    settings = Settings(
        home=home,
        database_url=database_url,
        broker_url=broker_url,
        checkpoint_roots=(home / "models",),
        engine=engine,
        port=free_port(),
        **times,
    )
    database = open_database(database_url)
    with transaction(database) as session:
        made = create_key(session, read_pepper(settings), "demo", name="test", scopes=SCOPES)
    url = f"http://{settings.host}:{settings.port}"
    with Client(url, made.token) as client:
        fleet = Fleet(settings, database, client)
        try:
            fleet.others += [fleet.start("api", "serve"), fleet.start("sweep")]
            eventually(lambda: _answers(url), f"an answer of {url}")
            yield fleet
        finally:
            fleet.stop()
            database.dispose()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5.0, trust_env=False).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
