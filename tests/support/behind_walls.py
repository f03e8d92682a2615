"""What a child behind the walls tries: `python -m tests.support.behind_walls '{"connect": …}'`.

Each word's tries come back as the name of the error that ended them, or `done`.
"""

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRIES: dict[str, Callable[[Any], object]] = {
    "connect": lambda address: socket.create_connection(tuple(address), timeout=5).close(),
    "route": lambda address: socket.socket(type=socket.SOCK_DGRAM).connect(tuple(address)),
    "unix": lambda path: socket.socket(socket.AF_UNIX).connect(path),
    "read": lambda path: Path(path).read_bytes(),
    "list": os.listdir,
    "write": lambda path: Path(path).write_text("x"),
    "signal": lambda pid: os.kill(pid, signal.SIGCONT),
    "environment": lambda pid: Path(f"/proc/{pid}/environ").read_bytes(),
    "move": lambda pair: Path(pair[0]).rename(pair[1]),
    "listen": lambda _: connect_to_itself(),
}


def connect_to_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def outcome(name: str, word: Any) -> str:
    try:
        TRIES[name](word)
    except OSError as error:
        return type(error).__name__
    return "done"


def main() -> None:
    tries = json.loads(sys.argv[1])
    found = {name: [outcome(name, word) for word in words] for name, words in tries.items()}
    status = Path("/proc/self/status").read_text().splitlines()
    facts = {
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "gain": next(line for line in status if line.startswith("NoNewPrivs")),
        "temporary": os.environ["TMPDIR"],
    }
    sys.stdout.write(json.dumps({**found, **facts}) + "\n")


if __name__ == "__main__":
    main()
