"""The keeper: a process behind the walls that holds descriptors of files for those beside it.

A view leads to weights by descriptors of the worker, `/proc/PID/fd/N`, and that way is shut from
behind the walls: following it takes the right to trace the worker. Processes behind the same walls
may follow links to each other. So the worker hands its descriptors to the keeper, and the child
reads a folder of links to the keeper's.

    worker → {"wall": true}   and a file of places; keeper ← {"walls": […], "keeper": PID}
    worker → {"hold": N}      and N descriptors; keeper ← {"held": [their numbers there]}
    worker → {"close": […]}   the keeper closes these
    worker → {"go": true}     the child's own program starts

JSON over a socket that keeps messages apart; its end is the keeper's.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from workers.children.walls.places import Places
from workers.children.walls.raising import raise_walls

LARGEST = 1 << 20
MOST_DESCRIPTORS = 200  # in one message; the kernel takes 253


def wall_in(channel: socket.socket, environment: Mapping[str, str]) -> None:
    """Raise the walls, leave a keeper behind, and return when the child's program may start.

    Ends the process where the worker goes before that.
    """
    message, descriptors = receive(channel)
    if message is None:
        os._exit(1)
    with os.fdopen(descriptors[0], "rb") as file:
        walls = raise_walls(Places(**json.load(file)), environment)
    may_go, go = os.pipe()
    between = os.fork()
    if between == 0:  # so that the keeper is no child of the runner, whose libraries end theirs
        if os.fork():
            os._exit(0)
        os.close(may_go)
        say(channel, {"walls": [asdict(wall) for wall in walls], "keeper": os.getpid()})
        keep(channel, go)
    os.waitpid(between, 0)
    os.close(go)
    if os.read(may_go, 1) != b"1":
        os._exit(1)
    os.close(may_go)


def keep(channel: socket.socket, go: int) -> NoReturn:
    """Hold what is handed over until the worker closes the channel."""
    let_go_of_all_but({channel.fileno(), go})
    while True:
        message, descriptors = receive(channel)
        match message:
            case None:
                os._exit(0)
            case {"hold": _}:
                say(channel, {"held": descriptors})
            case {"close": numbers}:
                for number in numbers:
                    os.close(number)
            case {"go": _}:
                os.write(go, b"1")
                os.close(go)


def let_go_of_all_but(needed: set[int]) -> None:
    """Close what was inherited, but for errors: who waits for an end is not to wait for us."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    inherited = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    for number in inherited - {0, 1, 2} - needed:
        with suppress(OSError):  # the one that listed them
            os.close(number)


def say(channel: socket.socket, document: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send one message, with descriptors."""
    socket.send_fds(channel, [json.dumps(document).encode()], descriptors)


def receive(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and the descriptors that came with it; None at the end."""
    data, descriptors, _, _ = socket.recv_fds(channel, LARGEST, MOST_DESCRIPTORS)
    return (json.loads(data) if data else None), descriptors
