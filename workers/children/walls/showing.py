"""The worker's side of the walls: what stands, and views as they can be read from behind.

A view without links to descriptors is read where it is. Of one with such links there is a second
folder of the same name, whose links lead to the keeper's descriptors and else to the view.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from holdfast.errors import MachineUnfit, Unreachable
from workers.children.walls.keeper import MOST_DESCRIPTORS, receive, say
from workers.children.walls.places import Places
from workers.children.walls.raising import Wall

SHOWN = Path("views") / "held"  # `views/<some name>/<digest>`, as holdfast.checkpoints.view_paths
HeldFiles = dict[Path, tuple[int, int, int]]  # device, inode, and the keeper's number, by name


@dataclass(slots=True)
class Inside:
    """A walled child's keeper, and the views that were shown to it."""

    channel: socket.socket
    keeper: int
    walls: tuple[Wall, ...]
    reads: tuple[Path, ...]
    folder: Path
    shown: dict[Path, HeldFiles] = field(default_factory=dict)


ANSWER_SECONDS = 120.0  # for a process that has to start first, on a machine that is busy


def send_in(channel: socket.socket, places: Places, scratch: Path) -> Inside:
    """Have the walls raised; MachineUnfit where the child ends before it says what stands."""
    number = os.memfd_create("places")
    with os.fdopen(number, "w+", encoding="utf-8") as file:
        json.dump(asdict(places), file)
        file.flush()
        file.seek(0)
        with suppress(BrokenPipeError):  # it has ended; so has what it would answer
            say(channel, {"wall": True}, [number])
    report, _ = receive_or_nothing(channel)
    if report is None:
        raise MachineUnfit(
            "the process that raises the walls around a child ended while it was at it; its log "
            "says why, and HOLDFAST_WALL=off starts children without walls"
        )
    walls = tuple(Wall(**wall) for wall in report["walls"])
    (scratch / SHOWN).mkdir(parents=True)
    reads = tuple(Path(folder) for folder in (*places.reads, *places.writes))
    return Inside(channel, report["keeper"], walls, reads, scratch / SHOWN)


def receive_or_nothing(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message; nothing where the other end is gone, however it went.

    Unreachable where it is there and says nothing, as one that was stopped.
    """
    channel.settimeout(ANSWER_SECONDS)
    try:
        return receive(channel)
    except ConnectionResetError:
        return None, []
    except TimeoutError as error:
        raise Unreachable(
            f"what stands at the walls of a child said nothing for {ANSWER_SECONDS:.0f} s"
        ) from error
    finally:
        channel.settimeout(None)


def folders_of(checkpoint: Path) -> set[Path]:
    """The folders that a checkpoint's files really lie in."""
    links = (path for path in checkpoint.rglob("*") if path.is_symlink())
    return {checkpoint.resolve(), *(path.resolve().parent for path in links)}


def may_read(inside: Inside | None, checkpoint: Path) -> bool:
    """Whether a child was allowed, when it started, to read where this checkpoint lies."""
    return inside is None or all(
        any(folder.is_relative_to(place) for place in inside.reads)
        for folder in folders_of(checkpoint)
    )


def show(inside: Inside, view: Path) -> Path:
    """Where the child reads this folder; itself where it has no link to a descriptor of ours.

    A child that is gone is shown nothing: whoever asks it next is told so.
    """
    forget_closed(inside)
    links = {path.relative_to(view): path for path in descriptor_links(view)}
    if not links:
        return view
    held = {name: path.stat() for name, path in links.items()}
    files = inside.shown.get(view, {})
    if {name: (found.st_dev, found.st_ino) for name, found in held.items()} != {
        name: file[:2] for name, file in files.items()
    }:
        forget(inside, view)
        numbers = hand_over(inside, list(links.values()))
        inside.shown[view] = {
            name: (held[name].st_dev, held[name].st_ino, number)
            for name, number in zip(links, numbers, strict=False)
        }
        with suppress(FileNotFoundError):  # its folder went with it
            link_all(inside, view)
    return inside.folder / view.name


def descriptor_links(folder: Path) -> Iterator[Path]:
    """The links of a folder that lead to descriptors of this process."""
    ours = f"/proc/{os.getpid()}/fd/"
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and str(path.readlink()).startswith(ours):
            yield path


def hand_over(inside: Inside, paths: list[Path]) -> list[int]:
    """Give the keeper the descriptors behind these links; their numbers in the keeper."""
    numbers: list[int] = []
    for start in range(0, len(paths), MOST_DESCRIPTORS):
        part = [int(path.readlink().name) for path in paths[start : start + MOST_DESCRIPTORS]]
        try:
            say(inside.channel, {"hold": len(part)}, part)
        except OSError:
            return numbers
        reply, _ = receive_or_nothing(inside.channel)
        numbers += reply["held"] if reply else []
    return numbers


def link_all(inside: Inside, view: Path) -> None:
    """Make the folder that the child reads in place of a view."""
    files, folder = inside.shown[view], inside.folder / view.name
    folder.mkdir()
    for path in sorted(view.rglob("*")):
        name = path.relative_to(view)
        if path.is_dir():
            (folder / name).mkdir()
        elif name in files:
            (folder / name).symlink_to(f"/proc/{inside.keeper}/fd/{files[name][2]}")
        else:
            (folder / name).symlink_to(path)


def forget(inside: Inside, view: Path) -> None:
    """Let go of what was shown of a view."""
    files = inside.shown.pop(view, {})
    shutil.rmtree(inside.folder / view.name, ignore_errors=True)
    if files:
        with suppress(OSError):  # it is gone, and its descriptors with it
            say(inside.channel, {"close": [number for *_, number in files.values()]})


def forget_closed(inside: Inside) -> None:
    """Let go of every view that is closed, so that removed files give up their space."""
    for view in [view for view in inside.shown if not view.is_dir()]:
        forget(inside, view)


def named_as_outside(inside: Inside | None, text: str) -> str:
    """A child's words, with views by the name that they have here."""
    if inside is not None:
        for view in inside.shown:
            text = text.replace(str(inside.folder / view.name), str(view))
    return text
