"""The embedded stack, and the command line as a CI job calls it.

Everything goes over HTTP through `holdfast`, the command that users have: the demo proves what they
will see, exit codes included.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.errors import HarnessError
from holdfast.settings import Settings, child_environment, make_folder
from holdfast.verdict.document import Verdict

HOLDFAST = Path(sys.executable).with_name("holdfast")
VERDICT_CODES = {0: "pass", 1: "fail", 3: "inconclusive"}


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Where the stack listens, and the key that it made for its owner."""

    url: str
    key: str


@contextmanager
def running_stack(settings: Settings) -> Iterator[RunningStack]:
    """`holdfast up` in a process of its own, ready, until the block ends."""
    log = settings.home / "log" / "up.log"
    make_folder(log.parent)
    with log.open("a") as output:
        process = subprocess.Popen(
            [HOLDFAST, "up", "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env=child_environment(settings),
        )
    try:
        where = first_document(process.stdout or ())
        if where is None or "url" not in where:
            raise HarnessError(f"the stack did not start: {where}; see {log}")
        yield RunningStack(where["url"], Path(where["key_file"]).read_text().strip())
    finally:
        process.terminate()
        process.wait()


def first_document(lines: Iterable[str]) -> dict[str, str] | None:
    """The JSON document that a command prints while it runs on; None if it ends without one."""
    read = ""
    for line in lines:
        read += line
        if line.rstrip() == "}":
            document: dict[str, str] = json.loads(read)
            return document
    return None


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
        raise HarnessError(f"`holdfast {words[0]}` ended with exit code {done.returncode}")
    return done.returncode, json.loads(done.stdout)


def verdict_of(settings: Settings, *words: object) -> Verdict:
    """The verdict that a command ends with; anything that is no verdict ends the demo."""
    code, document = holdfast(settings, *words)
    if code not in VERDICT_CODES:
        raise HarnessError(f"`holdfast {words[0]}`: {document['error']['message']}")
    verdict = Verdict.model_validate(document)
    if VERDICT_CODES[code] != verdict.verdict:
        raise HarnessError(f"exit code {code} contradicts the verdict {verdict.verdict}")
    return verdict
