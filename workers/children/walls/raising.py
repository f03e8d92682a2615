"""Raising the walls between fork and exec, and trying each one before anything runs behind it.

A wall stands where the kernel took it and what it is against was tried and refused. One that does
not stand says why; whether the child may start all the same is its worker's to decide.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from holdfast.errors import MachineUnfit
from workers.children.walls import kernel, landlock
from workers.children.walls.places import Places, rules

INTERFACES = Path("/proc/self/net/dev")
STANDS = "stands"
HEADINGS = 2  # lines above the interfaces in it


@dataclass(frozen=True, slots=True)
class Wall:
    """One wall: whether it stands, and how or why not."""

    name: str
    stands: bool
    detail: str


def raise_walls(places: Places, environment: Mapping[str, str]) -> list[Wall]:
    """Change this process, for good: every wall that the kernel has.

    Privileges go last but one, since the network needs them, and files last: Landlock needs that
    no program gives privileges back, and refuses mounts.
    """
    return [
        _raised("network", partial(_shut_network, places)),
        _raised("privileges", _shut_privileges),
        _raised("files", partial(_shut_files, places, environment)),
    ]


def _raised(name: str, shut: Callable[[], str]) -> Wall:
    """Raise one wall, after a process of its own has tried it: one half raised is worse than none.

    Some systems let a process into a user namespace and refuse it everything there.
    """
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writing, _outcome(shut).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as outcomes:
        outcome = outcomes.read() or "the process that tried it ended"
    os.waitpid(pid, 0)
    if outcome != STANDS:
        return Wall(name, stands=False, detail=outcome)
    return Wall(name, stands=True, detail=shut())


def _outcome(shut: Callable[[], str]) -> str:
    try:
        shut()
    except OSError as error:
        return error.strerror or str(error)
    return STANDS


def in_words(wall: Wall) -> str:
    """A wall as a log has it."""
    return f"wall: {wall.name} {'stands' if wall.stands else 'does not stand'}: {wall.detail}"


def require_all(walls: Iterable[Wall]) -> None:
    """Raise MachineUnfit unless every wall stands."""
    if missing := [f"{wall.name} ({wall.detail})" for wall in walls if not wall.stands]:
        raise MachineUnfit(
            f"HOLDFAST_WALL=required, and on this machine these walls do not stand: "
            f"{', '.join(missing)}; `holdfast doctor` says what to do, and HOLDFAST_WALL=auto "
            "takes those that do"
        )


def _shut_network(places: Places) -> str:
    kernel.leave_network()
    kernel.hide(places.hidden)
    names = [line.partition(":")[0].strip() for line in _interfaces()]
    if names != ["lo"]:
        raise OSError(f"its own network has {', '.join(names)}, expected lo alone")
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    return "a network of its own, with a loopback alone"


def _interfaces() -> list[str]:
    return INTERFACES.read_text(encoding="utf-8").splitlines()[HEADINGS:]


def _shut_privileges() -> str:
    kernel.forgo_privileges()
    remaining = kernel.effective_capabilities() & ~(1 << kernel.READ_ANY_FILE)
    if remaining:
        raise OSError(f"capabilities {remaining:#x} remain")
    return "no new privileges, no capabilities, no core dumps"


def _shut_files(places: Places, environment: Mapping[str, str]) -> str:
    found_version = landlock.restrict(rules(places, environment))
    forbidden = Path(places.private) / f".outside-{os.getpid()}"
    try:
        os.close(os.open(forbidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except PermissionError:
        return f"Landlock {found_version}"
    forbidden.unlink()
    raise OSError(errno.EPERM, f"Landlock {found_version} was taken, and refuses nothing")
