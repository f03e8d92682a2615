"""The files of a folder, sorted into those that count for a checkpoint and those that are ignored.

Nothing is opened here but folders. A subfolder counts where each of its files would have passed the
first version's allow-list and none holds weights; any other (`checkpoint-500`, `.cache`, `.git`,
`onnx`) is ignored whole, but for the chat templates among `additional_chat_templates`: a loader
follows a link there as well, so what cannot be listed is named as a file that cannot be opened.
"""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from holdfast.checkpoints.model_files import (
    PLAIN_NAME,
    TEMPLATE_FOLDER,
    Role,
    is_counted_kind,
    is_named_template,
    is_weights,
    role_of,
)
from holdfast.errors import CheckpointRefused

MAX_FILES = 2_000
MAX_NAMES = 20_000  # in one folder, those that are ignored as well
MAX_FOLDER_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Listing:
    """Files that count, as (path, role) by path, and names that are ignored, folders with `/`."""

    files: tuple[tuple[str, Role], ...]
    ignored: tuple[str, ...]


def list_folder(top: int, weights: Collection[str]) -> Listing:
    """Sort the files below an open folder; `weights` are the weight files that are to be loaded."""
    files: dict[str, Role] = {}
    ignored: list[str] = []
    for name in names_in(top):
        kind = _kind(name, top)
        if kind == stat.S_IFDIR:
            counted = counted_below(top, name)
            files |= {path: role_of(path, ()) for path in counted or ()}
            if counted is None and name == TEMPLATE_FOLDER:
                files[name] = Role.MODEL
            elif counted is None:
                ignored.append(f"{name}/")
        elif name == TEMPLATE_FOLDER and kind != stat.S_IFREG:
            files[name] = Role.MODEL
        elif (role := role_of(name, weights)) is Role.IGNORED or not (
            kind == stat.S_IFREG or role is Role.MODEL
        ):
            ignored.append(name)
        else:
            files[name] = role
    return Listing(tuple(sorted(files.items())), tuple(map(printable, ignored)))


def names_in(folder: int) -> list[str]:
    """The names in an open folder, in order."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in islice(entries, MAX_NAMES + 1)]
    if len(names) > MAX_NAMES:
        raise CheckpointRefused(
            f"more than {MAX_NAMES} names in one folder; submit the model's own folder only"
        )
    return sorted(names)


def printable(name: str) -> str:
    """A name as it can be printed anywhere."""
    return name if name.isascii() and name.isprintable() else ascii(name)


def counted_below(top: int, name: str) -> list[str] | None:
    """The files of a subfolder if all of them count; of chat templates, those alone if not.

    None where the subfolder is ignored, or cannot be listed.
    """
    try:
        files = list(islice(_files_below(top, f"{name}/"), MAX_FILES + 1))
    except (
        OSError,
        CheckpointRefused,
    ):  # a link, or closed to us: no loader is to look into it either
        return None
    if len(files) > MAX_FILES:
        return None
    if all(map(_counts, files)):
        return files
    templates = [path.removesuffix("/") for path in files]  # links to nothing as well
    return list(filter(is_named_template, templates)) if name == TEMPLATE_FOLDER else None


def _counts(path: str) -> bool:
    names = path.split("/")
    plain = all(map(PLAIN_NAME.fullmatch, names))
    return plain and is_counted_kind(names[-1]) and not is_weights(path)


def _files_below(parent: int, prefix: str) -> Iterator[str]:
    """The paths of all files below the last folder of `prefix`.

    What is no plain file, and a folder that lies too deep, is told with a slash at its end.
    """
    name = prefix.split("/")[-2]
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        for entry in names_in(descriptor):
            path, kind = f"{prefix}{entry}", _kind(entry, descriptor)
            if kind == stat.S_IFDIR and path.count("/") < MAX_FOLDER_DEPTH:
                yield from _files_below(descriptor, f"{path}/")
            else:
                yield path if kind == stat.S_IFREG else f"{path}/"
    finally:
        os.close(descriptor)


def _kind(name: str, parent: int) -> int:
    """The kind of what a name leads to; 0 where it leads nowhere. A link to a folder is a link."""
    try:
        kind = stat.S_IFMT(os.stat(name, dir_fd=parent).st_mode)
        if kind == stat.S_IFDIR:
            kind = stat.S_IFMT(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError:
        return 0
    return kind
