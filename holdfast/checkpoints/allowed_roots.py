"""A folder or file under an allowed root, opened so that no link can lead anywhere else.

What is named may be a link, as a `latest` or the files of a hub snapshot are: its real place is
looked up first, must lie under a root, and is then opened component by component without following
any link, so that a link which is changed in between leads nowhere.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from holdfast.checkpoints.json_files import abridged
from holdfast.errors import CheckpointRefused

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

MAX_PATH = 4096  # PATH_MAX of Linux
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)  # of a URI, which is no path here


def real_path(path: Path) -> Path:
    """The real place of a path, whatever links lead to it; CheckpointRefused where it has none."""
    try:
        if len(os.fsencode(path)) < MAX_PATH:
            real = path.absolute().resolve()
            str(real).encode()  # no row and no reply could name it otherwise
            return real
        why = f"longer than {MAX_PATH} bytes"
    except ValueError:
        why = "not UTF-8, or with a null byte"
    except RuntimeError:
        why = "links in a circle"
    raise CheckpointRefused(
        f"the path {abridged(str(path))} leads nowhere ({why}); give the path of a folder"
    )


@contextmanager
def opened_folder(folder: Path, roots: Sequence[Path]) -> Iterator[int]:
    """A descriptor of `folder`, which must be a real path under one of the roots.

    Raises CheckpointRefused if it lies under no root, is absent, or a component is not a folder.
    """
    root, relative = _under_a_root(folder, roots)
    with ExitStack() as stack:
        descriptor = _open_folder(str(root), None, folder)
        stack.callback(os.close, descriptor)
        for component in relative.parts:
            descriptor = _open_folder(component, descriptor, folder)
            stack.callback(os.close, descriptor)
        yield descriptor


def _under_a_root(folder: Path, roots: Sequence[Path]) -> tuple[Path, Path]:
    for root in roots:
        resolved = root.resolve()
        if folder.is_relative_to(resolved):
            return resolved, folder.relative_to(resolved)
    listed = ", ".join(map(str, roots)) or "none is set"
    raise CheckpointRefused(
        f"checkpoint {folder} does not exist or lies outside the allowed roots ({listed}); "
        "move it there, or have its folder added: `holdfast up --root DIR` on one machine, "
        "HOLDFAST_CHECKPOINT_ROOTS on a server"
    )


def _open_folder(name: str, parent: int | None, folder: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if parent is not None else 0)
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError as error:
        raise CheckpointRefused(
            f"checkpoint {folder} does not exist ({name!r} is missing)"
        ) from error
    except OSError as error:
        raise CheckpointRefused(
            f"checkpoint {folder}: {name!r} is not a readable folder ({error.strerror}); "
            "give the path of the checkpoint's folder"
        ) from error


def open_file(parent: int, path: str, folder: Path, roots: Sequence[Path]) -> int:
    """A descriptor of the plain file at `path` below `folder`, whose own folder is `parent`.

    Raises CheckpointRefused with one sentence that names it.
    """
    try:
        descriptor = _open_or_follow(parent, path, folder, roots)
    except FileNotFoundError as error:
        raise CheckpointRefused(
            f"{path} is a link to nothing, or was removed just now; put the file itself there"
        ) from error
    except OSError as error:
        raise CheckpointRefused(
            f"{path} cannot be read ({error.strerror}); make it readable for this user"
        ) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise CheckpointRefused(f"{path} is not a plain file; a checkpoint holds nothing else")


def _open_or_follow(parent: int, path: str, folder: Path, roots: Sequence[Path]) -> int:
    name = path.rpartition("/")[2]
    try:
        return os.open(name, READ, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    target = real_path(folder / path)
    if not any(target.is_relative_to(root.resolve()) for root in roots):
        raise CheckpointRefused(
            f"{path} is a symbolic link that leads out of the allowed roots; put the file itself "
            "there, or have the operator add its folder to HOLDFAST_CHECKPOINT_ROOTS"
        )
    if not target.exists():
        raise FileNotFoundError(path)
    with opened_folder(target.parent, roots) as real:
        return os.open(target.name, READ, dir_fd=real)
