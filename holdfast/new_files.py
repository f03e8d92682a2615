"""Files that are written where a person said: always new ones, never through a link.

A checkout can hold a link where a report is to lie, or on the way to it, and what is written
through it lands elsewhere. So a file is written beside its place and renamed, which replaces a link
and does not follow it, and folders that are links are refused.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from holdfast.errors import CallerError

STREAMS = (Path("/dev"), Path("/proc"))  # /dev/stdout is a link, and the user's own


def write_new(target: Path, content: bytes, refusal: type[CallerError]) -> None:
    """Write a file of this content in place of what was there; `refusal` where it cannot be.

    Its folder is made where it is missing. A device or a pipe is written to as it is.
    """
    try:
        if _is_stream(target):
            with target.open("wb") as stream:
                stream.write(content)
            return
        _refuse_links(target, refusal)
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content)
    except OSError as error:
        raise refusal(f"{target} cannot be written: {error.strerror}") from error


def remove_old(target: Path, refusal: type[CallerError]) -> None:
    """Remove the file or link that lies where a new one will; `refusal` where it cannot be."""
    if _is_stream(target):
        return
    _refuse_links(target, refusal)
    try:
        target.unlink(missing_ok=True)
    except OSError as error:
        raise refusal(f"{target} cannot be written: {error.strerror}") from error


def _replace(target: Path, content: bytes) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        with partial.open("xb") as file:  # follows no link and opens nothing that is there
            file.write(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _is_stream(target: Path) -> bool:
    """Whether it is a device or a pipe, which is written to and neither removed nor replaced."""
    try:
        kind = stat.S_IFMT(target.lstat().st_mode)
    except OSError:
        return False
    if kind == stat.S_IFLNK:
        return any(target.is_relative_to(place) for place in STREAMS)
    return kind not in (stat.S_IFREG, stat.S_IFDIR)


def _refuse_links(target: Path, refusal: type[CallerError]) -> None:
    for link in _links_on_the_way(target):
        raise refusal(
            f"{target} cannot be written: its folder {link} is a link, which can lead anywhere; "
            "remove the link, or name the folder that it leads to"
        )


def _links_on_the_way(target: Path) -> Iterator[Path]:
    """The folders of a path that are links; of an absolute one, those in the working folder.

    A link elsewhere, as /tmp is on some systems, is the machine's own.
    """
    here = Path.cwd()
    for folder in target.parents:
        if folder.is_symlink() and (
            not target.is_absolute() or folder.parent.resolve().is_relative_to(here)
        ):
            yield folder
