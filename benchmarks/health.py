"""`make bench-health`: how soon `/healthz` answers while ten hostile folders are admitted.

A real service; ten clients that register a hostile folder each, again and again; and one that asks
for the health every 20 ms, whether or not the answer before has come: each delay counts from the
moment at which the question was due, so one late answer makes those behind it late as well.
"""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import httpx

from holdfast.db.keys import create_key, read_pepper
from holdfast.db.migrate import upgrade
from holdfast.db.session import open_database, transaction
from holdfast.scopes import SCOPES
from holdfast.settings import Settings, child_environment, read_settings
from tests.support.checkpoint_files import sound_checkpoint
from tests.support.hostile_checkpoints import FOLDERS
from tests.support.servers import celery_url, redis_server, scratch_folder

HOSTILE = (
    "a shape of two megabytes",
    "a header of brackets",
    "too many tensors",
    "a name of ten megabytes",
    "offsets of many numbers",
    "escapes without an end",
    "lists by the million",
    "objects by the million",
    "brackets without an end",
    "a number of 30 megabytes",
)
SECONDS, EVERY = 20.0, 0.02
LIMIT = 0.1
PATIENCE = 60.0


@contextmanager
def served(settings: Settings) -> Iterator[httpx.Client]:
    """A service in a process of its own, and a client with a key that may do everything."""
    upgrade(settings.database_url)
    database = open_database(settings.database_url)
    with transaction(database) as session:
        key = create_key(session, read_pepper(settings), "bench", name="bench", scopes=SCOPES)
    database.dispose()
    command = [sys.executable, "-m", "service"]
    with subprocess.Popen(command, env=child_environment(settings), stdout=sys.stderr) as process:
        url = f"http://{settings.host}:{settings.port}"
        headers = {"Authorization": f"Bearer {key.token}"}
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE) as client:
                wait_for(client)
                yield client
        finally:
            process.terminate()


def wait_for(client: httpx.Client) -> None:
    """Until the service answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            client.get("/healthz").raise_for_status()
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"the service did not answer within {PATIENCE:.0f} s")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def hostile_folders(parent: Path) -> list[Path]:
    """The ten folders."""
    folders = [sound_checkpoint(parent / str(number)) for number in range(len(HOSTILE))]
    for folder, name in zip(folders, HOSTILE, strict=True):
        FOLDERS[name][0](folder)
    return folders


def register(client: httpx.Client, folder: Path, ended: Event) -> Counter[int]:
    """Register a folder again and again; how often each status was answered."""
    statuses: Counter[int] = Counter()
    while not ended.is_set():
        reply = client.post("/v1/checkpoints", json={"uri": str(folder)})
        statuses[reply.status_code] += 1
    return statuses


def delays(host: str, port: int, seconds: float) -> list[float]:
    """Seconds from each moment at which the health was to be asked to its answer."""
    waited = []
    with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE)) as connection:
        began = time.monotonic()
        for number in range(round(seconds / EVERY)):
            due = began + number * EVERY
            time.sleep(max(0.0, due - time.monotonic()))
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            waited.append(time.monotonic() - due)
    return waited


def measured(settings: Settings) -> tuple[list[float], list[float], Counter[int]]:
    """The delays with nothing beside, those while folders are admitted, and what these came to."""
    folders, ended = hostile_folders(settings.checkpoint_roots[0]), Event()
    with served(settings) as client, ThreadPoolExecutor(len(folders)) as threads:
        idle = delays(settings.host, settings.port, SECONDS / 4)
        registering = [threads.submit(register, client, folder, ended) for folder in folders]
        try:
            busy = delays(settings.host, settings.port, SECONDS)
        finally:
            ended.set()
        statuses = sum((future.result() for future in registering), Counter[int]())
    return idle, busy, statuses


def print_delays(name: str, waited: list[float]) -> float:
    """Print the delays in milliseconds; returns the 99th percentile in seconds."""
    p50, p99 = statistics.median(waited), statistics.quantiles(waited, n=100)[-1]
    figures = f"p50 {p50 * 1e3:.1f}, p99 {p99 * 1e3:.1f}, max {max(waited) * 1e3:.1f} ms"
    print(f"{name}: {figures} of {len(waited)}")
    return p99


def main() -> int:
    """Measure; 0 if the 99th percentile is within its limit."""
    with scratch_folder() as home, scratch_folder() as folder, redis_server(folder) as broker:
        (home / "models").mkdir()
        settings = read_settings(
            {
                "HOLDFAST_HOME": str(home),
                "HOLDFAST_BROKER_URL": celery_url(broker),
                "HOLDFAST_CHECKPOINT_ROOTS": str(home / "models"),
                "HOLDFAST_PORT": str(free_port()),
                "HOLDFAST_WRITES_PER_MINUTE": "1000000",
            }
        )
        idle, busy, statuses = measured(settings)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print_delays("nothing beside", idle)
    p99 = print_delays(f"{len(HOSTILE)} hostile folders", busy)
    print(
        f"refused {statuses[422]} of {statuses.total()} admissions; limit p99 {LIMIT * 1e3:.0f} ms"
    )
    return 0 if p99 < LIMIT and statuses[422] == statuses.total() > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
