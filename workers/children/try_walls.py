"""Whether the walls stand on this machine: raised around a child that then tries to get out.

    python -m workers.children.try_walls      → one JSON document, for `holdfast doctor`

What the kernel took is not believed: a wall stands if the child was refused what the wall is
against, and what it needs still works.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from holdfast.errors import HarnessError
from holdfast.settings import Settings, make_home, read_settings
from workers.children.environment import runner_environment
from workers.children.guarded import Needs, end_guarded, release, start_guarded
from workers.children.walls.kernel import effective_capabilities
from workers.children.walls.raising import Wall
from workers.children.walls.showing import SHOWN, show

LINK = "staged"
ELSEWHERE = ("192.0.2.1", 9)  # set aside for documents: no machine has it
STATUS = Path("/proc/self/status")
SYSCTLS = {  # what shuts user namespaces, the value that does, and the one that does not
    "kernel/unprivileged_userns_clone": ("0", "1"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
    "user/max_user_namespaces": ("0", "10000"),
}
ADVICE = {
    "network": "the system keeps network namespaces to root, as most containers do; give the "
    "container no way out instead, or allow user namespaces",
    "files": "this needs Linux 5.19 or later with Landlock built in and `landlock` among the "
    "modules of the boot parameter lsm=",
    "privileges": "the system refuses to take privileges away; run workers as a user of their own",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt from inside: which wall is against it, and whether it came out as it should."""

    wall: str
    what: str
    right: bool


def main() -> None:
    """Inside, try; outside, raise walls around a child and print what stands."""
    if arguments := sys.argv[1:]:
        attempts = attempt_all(int(arguments[0]), *map(Path, arguments[1:]))
        sys.stdout.write(json.dumps([asdict(attempt) for attempt in attempts]) + "\n")
    else:
        walls = tried_walls(read_settings())
        sys.stdout.write(json.dumps([asdict(wall) for wall in walls]) + "\n")


def tried_walls(settings: Settings) -> list[Wall]:
    """Every wall, as a child found it; HarnessError where that child does not answer."""
    work = settings.home / "work"
    for folder in (settings.home, work):
        make_home(folder)
    needs = Needs(runner_environment(settings.home, os.environ, {}))
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        secret = stack.enter_context(NamedTemporaryFile(dir=settings.home, prefix="wall-"))
        view = Path(stack.enter_context(TemporaryDirectory(dir=work, prefix="wall-")))
        file = stack.enter_context((view / "file").open("w+"))
        (view / LINK).symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        shown = needs.scratch.path / SHOWN / view.name / LINK
        child = start_guarded(
            settings.model_copy(update={"wall": "auto"}),
            "workers.children.try_walls",
            [str(server.getsockname()[1]), secret.name, str(shown)],
            requests=os.open(os.devnull, os.O_RDONLY),
            log=settings.home / "log" / "walls.log",
            needs=needs,
        )
        stack.callback(end_guarded, child)
        stack.enter_context(closing(child.answers))
        if child.inside is not None:
            show(child.inside, view)
        release(child)
        line = child.answers.readline()
    if not line or child.inside is None:
        raise HarnessError(f"a child behind walls did not start; its log is {child.log}")
    attempts = [Attempt(**attempt) for attempt in json.loads(line)]
    return [judged(wall, attempts) for wall in child.inside.walls]


def judged(wall: Wall, attempts: list[Attempt]) -> Wall:
    """A wall by what was tried, with what to do where it does not stand."""
    wrong = [
        attempt.what for attempt in attempts if attempt.wall == wall.name and not attempt.right
    ]
    if wall.stands and not wrong:
        return wall
    why = f"{wall.detail}, and from inside: {', '.join(wrong)}" if wall.stands else wall.detail
    advice = sysctl_advice() if wall.name == "network" else None
    return Wall(wall.name, stands=False, detail=f"{why}; {advice or ADVICE[wall.name]}")


def sysctl_advice() -> str | None:
    """The kernel setting that keeps a user out of a network of their own, if there is one."""
    for name, (shut, wanted) in SYSCTLS.items():
        file = Path("/proc/sys") / name
        if file.is_file() and file.read_text(encoding="utf-8").strip() == shut:
            return f"set {name.replace('/', '.', 1)}={wanted} with sysctl"
    return None


def attempt_all(port: int, secret: Path, staged: Path) -> list[Attempt]:
    """Try from inside what each wall is against, and what has to work all the same."""
    status = STATUS.read_text(encoding="utf-8", errors="replace")
    return [
        Attempt("network", "another machine has a way to it", refused(reach_elsewhere)),
        Attempt("network", "this machine's loopback is open", refused(lambda: connect(port))),
        Attempt("network", "its own loopback is shut", not refused(connect_to_itself)),
        Attempt("files", "the data folder can be read", refused(secret.read_bytes)),
        Attempt("files", "the data folder can be written", refused(lambda: secret.write_text(""))),
        Attempt("files", "staged files cannot be read", not refused(staged.read_bytes)),
        Attempt("privileges", "programs can give privileges", "NoNewPrivs:\t1" in status),
        Attempt("privileges", "capabilities remain", not effective_capabilities() & ~(1 << 2)),
    ]


def refused(attempt: Callable[[], object]) -> bool:
    """Whether the kernel refuses it."""
    try:
        attempt()
    except OSError:
        return True
    return False


def connect(port: int) -> None:
    """Connect to a port of the loopback."""
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def connect_to_itself() -> None:
    """Listen at a port of the loopback and connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(server.getsockname()[1])


def reach_elsewhere() -> None:
    """Ask the kernel for a way to another machine; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        unsent.connect(ELSEWHERE)


if __name__ == "__main__":
    main()
