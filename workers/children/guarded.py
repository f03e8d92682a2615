"""A process under a guard: started in a session of its own, inside the data folder, and on record.

The guard ends everything in the session when our end of its `life` pipe closes, however that comes
about. The child's output goes to the end of a log; what it says for us comes through `answers`. It
runs behind walls (workers/children/walls), unless they are off, and not before `release`.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from holdfast.errors import MachineUnfit, Unreachable
from holdfast.settings import Settings, make_folder
from workers.children.guard import end_session
from workers.children.sessions import forget_session, record_session
from workers.children.walls.keeper import say
from workers.children.walls.places import CACHE, TEMPORARY, places_of
from workers.children.walls.raising import in_words, require_all
from workers.children.walls.scratch import Scratch, new_scratch
from workers.children.walls.showing import Inside, send_in

GUARD = (sys.executable, "-m", "workers.children.guard")


@dataclass(frozen=True, slots=True)
class Needs:
    """The needs of a child: its environment, a scratch folder, and what it may reach beside that.

    `writes` are folders of the data folder, and `reads` any; the cache is written by all.
    """

    environment: Mapping[str, str]
    writes: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()
    scratch: Scratch = field(default_factory=new_scratch)


@dataclass(frozen=True, slots=True)
class GuardedChild:
    """A started guard, our ends of the pipes to it, and where its child's part of the log begins.

    Closing `life` ends the session. `scratch` is a folder that goes with the child; `inside` is
    what stands around it, None where walls are off.
    """

    home: Path
    guard: subprocess.Popen[bytes]
    life: int
    answers: IO[str]
    log: Path
    log_start: int
    scratch: Path
    inside: Inside | None


def start_guarded(
    settings: Settings,
    module: str,
    arguments: Sequence[str],
    *,
    requests: int,
    log: Path,
    needs: Needs,
) -> GuardedChild:
    """Start `python -m module` under a guard; `requests` is its standard input, and closed here.

    It waits for `release`. MachineUnfit where a wall is required and does not stand.
    """
    for folder in (settings.home / "run", settings.home / CACHE, log.parent):
        make_folder(folder)
    channel, channel_end = _channel(settings)
    (life_end, life), (answers, answers_end) = os.pipe(), os.pipe()
    ends = (requests, answers_end, channel_end)
    scratch, lock = needs.scratch.path, needs.scratch.lock
    words = (*("-" if end is None else str(end) for end in ends), str(scratch))
    with log.open("ab") as output:
        log_start = output.tell()
        guard = subprocess.Popen(
            [*GUARD, *words, sys.executable, "-m", module, *arguments],
            stdin=life_end,
            stdout=output,
            stderr=output,
            pass_fds=[lock, *(end for end in ends if end is not None)],
            start_new_session=True,
            cwd=settings.home / "run",
            env={**needs.environment, "TMPDIR": str(scratch / TEMPORARY)},
        )
    for end in (life_end, lock, *ends):
        if end is not None:
            os.close(end)
    record_session(settings.home, guard.pid)
    pipe = os.fdopen(answers, encoding="utf-8")
    child = GuardedChild(settings.home, guard, life, pipe, log, log_start, scratch, None)
    return child if channel is None else _walled(settings, child, channel, needs)


def _channel(settings: Settings) -> tuple[socket.socket | None, int | None]:
    """Our end of a channel to the child's keeper, and its end; none where walls are off."""
    if settings.wall == "off":
        return None, None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours, theirs.detach()


def _walled(
    settings: Settings, child: GuardedChild, channel: socket.socket, needs: Needs
) -> GuardedChild:
    """The child with its walls raised, which the log is told of."""
    places = places_of(settings, child.scratch, needs.writes, needs.reads)
    try:
        inside = send_in(channel, places, child.scratch)
        with child.log.open("a", encoding="utf-8") as log:
            log.write("".join(f"{in_words(wall)}\n" for wall in inside.walls))
        if settings.wall == "required":
            require_all(inside.walls)
    except (MachineUnfit, Unreachable):
        channel.close()
        end_guarded(child)
        child.answers.close()
        raise
    return replace(child, inside=inside, log_start=child.log.stat().st_size)


def release(child: GuardedChild) -> None:
    """Let the child's own program start."""
    if child.inside is not None:
        with suppress(OSError):  # it has ended: who waits for its answers is told so
            say(child.inside.channel, {"go": True})


def end_guarded(child: GuardedChild) -> None:
    """End the session at once, and return when nobody of it is left. Leaves `answers` open."""
    end_session(child.guard.pid, grace=0.0)
    child.guard.wait()
    os.close(child.life)
    if child.inside is not None:
        child.inside.channel.close()
    shutil.rmtree(child.scratch, ignore_errors=True)
    forget_session(child.home, child.guard.pid)
