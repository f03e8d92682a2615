"""The embedded stack, and the command line as a CI job calls it.

Everything goes over HTTP through `holdfast`, the command that users have: the demo proves what they
will see, exit codes included.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast import stack_file
from holdfast.settings import Settings, child_environment
from holdfast.verdict import Verdict

HOLDFAST = Path(sys.executable).with_name("holdfast")
READY_SECONDS = 120.0
VERDICT_CODES = {0: "pass", 1: "fail", 3: "inconclusive"}


@contextmanager
def running_stack(settings: Settings) -> Iterator[str]:
    """`holdfast up` in a process of its own, until the block ends; yields its URL."""
    log = settings.home / "log" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        process = subprocess.Popen(
            [HOLDFAST, "up", "--port", "0"],
            stdout=output,
            stderr=output,
            env=child_environment(settings),
        )
    try:
        yield wait_until_ready(settings.home, process, log)
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(home: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    """The stack's URL, once it says where it listens."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        known = stack_file.read(home)
        if known is not None and known.launcher == process.pid:
            return known.url
        time.sleep(0.1)
    raise SystemExit(f"the stack did not start; see {log}")


def holdfast(settings: Settings, *words: object) -> tuple[int, Any]:
    """Run one `holdfast` command with --json; returns its exit code and its document.

    Its progress goes to our own screen.
    """
    done = subprocess.run(
        [HOLDFAST, *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(settings),
        check=False,
    )
    if not done.stdout.strip():
        raise SystemExit(f"holdfast {words[0]} ended with exit code {done.returncode}")
    return done.returncode, json.loads(done.stdout)


def verdict_of(settings: Settings, *words: object) -> Verdict:
    """The verdict that a command ends with; anything that is no verdict ends the demo."""
    code, document = holdfast(settings, *words)
    if code not in VERDICT_CODES:
        raise SystemExit(f"holdfast {words[0]} ended with exit code {code}: {document}")
    verdict = Verdict.model_validate(document)
    if VERDICT_CODES[code] != verdict.verdict:
        raise SystemExit(f"exit code {code} contradicts the verdict {verdict.verdict}")
    return verdict
