"""A process that reads hostile things, each in a child with bounds on its time and its memory.

`python -m tests.support.hostile_run KIND`: each request is a line of JSON, and so is its answer. A
child notes each file that it opens, and anything that would run something or speak to somebody.
"""

import importlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from holdfast.errors import HoldfastError

MEMORY = 300_000_000
SECONDS = 5  # of processor time
WAITED = 60  # for what would wait for ever
WATCHED = ("exec", "compile", "subprocess", "os.system", "os.exec", "os.posix_spawn", "socket.",
           "ctypes", "pickle", "marshal.load")  # fmt: skip

READERS: dict[str, tuple[str, str]] = {
    "checkpoint": ("holdfast.checkpoints.adapter", "admit_checkpoint"),
    "task": ("holdfast.repairs.task_data", "admit_task_data"),
    "suite": ("holdfast.suites", "read_suite"),
    "published": ("holdfast.importers.records", "read_records"),
    "evidence": ("holdfast.evidence.file", "read_evidence"),
    "policy": ("holdfast.policy.text", "load_policy"),
    "labels": ("holdfast.judges.agreement", "read_labelled"),
    "texts": ("holdfast.attacks.from_file", "read_texts"),
}


def read(kind: str, named: str, adapter: str | None, root: Path) -> None:
    """Hand what is named to its reader."""
    module, function = READERS[kind]
    reader = getattr(importlib.import_module(module), function)
    arguments: dict[str, tuple[Any, ...]] = {
        "checkpoint": (named, adapter, [root]),
        "task": (named, [root]),
        "suite": ("given", Path(named)),
        "published": ([Path(named)],),
    }
    reader(*arguments.get(kind, (Path(named),)))


def child(request: dict[str, Any], answers: int) -> None:
    """Read one thing within the bounds, and say how it ended."""
    seen: list[str] = []
    sys.addaudithook(
        lambda event, about: (
            seen.append(f"{event} {about[0]}")
            if event == "open" or event.startswith(WATCHED)
            else None
        )
    )
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(WAITED)
    try:
        read(request["kind"], request["named"], request["adapter"], Path(request["root"]))
        outcome: dict[str, Any] = {"error": None}
    except HoldfastError as error:
        outcome = {
            "error": type(error).__name__,
            "exit_code": error.exit_code,
            "detail": str(error),
        }
    os.write(answers, json.dumps({**outcome, "seen": seen}).encode())


def main() -> None:
    """Fork a child for each request; what the reader imports is there already."""
    importlib.import_module(READERS[sys.argv[1]][0])
    importlib.import_module("encodings.utf_8_sig")
    for line in sys.stdin:
        ours, theirs = os.pipe()
        if (pid := os.fork()) == 0:
            child(json.loads(line), theirs)
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as answer:
            told = answer.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(json.dumps({"status": status, **json.loads(told or "{}")}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
