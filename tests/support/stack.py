"""The embedded stack as a user starts it: `holdfast up`, from a folder of the test's choice."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.stack import stack_file
from tests.support.command import COMMAND, environment
from tests.support.folders import write_checkpoint

PATIENCE = 240.0  # seconds; a loaded two-core machine imports slowly


@dataclass(frozen=True, slots=True)
class Launched:
    """A running `holdfast up` and what it announced."""

    process: subprocess.Popen[str]
    home: Path
    url: str

    def children(self) -> dict[str, int]:
        """The children's process ids by name, as announced now."""
        known = stack_file.read(self.home)
        return {} if known is None else {name: pid for name, (pid, _) in known.children.items()}

    def stop(self) -> int:
        """SIGTERM, and the exit code that it led to."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def embedded_stack(home: Path, *words: str, cwd: Path, **settings: object) -> Iterator[Launched]:
    """`holdfast up` that is ready; stopped at the end if the test has not done so."""
    process = subprocess.Popen(
        [COMMAND, "up", "--port", "0", "--json", *words],
        cwd=cwd,
        env=environment(**{"home": home, "engine": "scripted", **settings}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while "}\n" not in lines:
            line = process.stdout.readline()
            assert line, f"holdfast up ended with {process.wait()}"
            lines.append(line)
        yield Launched(process, home, json.loads("".join(lines))["url"])
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def scripted_checkpoint(folder: Path, value: float = 0.0, **script: object) -> Path:
    """A checkpoint that the scripted engine plays."""
    write_checkpoint(folder, value=value)
    (folder / "scripted.json").write_text(json.dumps(script))
    return folder


def living(processes: dict[int, str]) -> dict[int, str]:
    """Those of the processes (pid and birth) that still live."""
    return {pid: born for pid, born in processes.items() if stack_file.birth(pid) == born}


def tree_of(pids: list[int]) -> dict[int, str]:
    """Every process in the sessions that these processes lead, with its birth."""
    return {p: born for pid in pids for p, born in stack_file.session_of(pid).items()}


def command_line(pid: int) -> list[str]:
    """What a process was started as."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")


def working_folder(pid: int) -> Path:
    """Where a process works."""
    return Path(f"/proc/{pid}/cwd").readlink()
