"""The files that jobs have in the data folder, by the job: listed, measured and removed.

A folder is renamed before it is removed. So it is there as it was or not there at all, and the next
run finds by its name what a killed one has not removed yet.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

from holdfast.projects.retention.removed import Removed

Kind = Literal["transcripts", "repairs", "archive", "merged"]

JOB = re.compile(r"(?:eval|rem)_[0-9a-f]{32}")
PLACES: dict[Kind, tuple[str, ...]] = {
    "transcripts": ("work/*", "log/*.training.log"),  # prompts, answers, losses
    "repairs": ("checkpoints/*",),  # weights, and an adapter where the recipe makes one
    "archive": ("archive/*",),
    "merged": ("merged/*",),  # nobody's job: adapters that were merged for any
}
REMOVED = ".pruned"  # ends the name of what waits to be removed


def files_by_job(home: Path, kind: Kind) -> dict[str, list[Path]]:
    """The files and folders of a kind, by the id of their job; what is nobody's is in no list."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for pattern in PLACES[kind]:
        for path in sorted(home.glob(pattern)):
            if match := JOB.match(path.name):
                paths[match[0]].append(path)
    return dict(paths)


def size_of(paths: Iterable[Path]) -> Removed:
    """How many files there are, those in folders too, and their bytes."""
    sizes = [path.lstat().st_size for path in _files(paths)]
    return Removed(files=len(sizes), bytes=sum(sizes))


def rename_away(paths: Iterable[Path]) -> None:
    """Take files and folders from their places, all or none; `remove_renamed` removes them."""
    with ExitStack() as undo:
        for path in paths:
            away = path.with_name(f".{path.name}{REMOVED}")
            _remove(away)
            with suppress(FileNotFoundError):  # another run was first
                path.rename(away)
                undo.callback(away.rename, path)
        undo.pop_all()


def remove_renamed(home: Path) -> Iterator[str]:
    """Remove what was renamed, by this run or one that was killed; a sentence on what stays."""
    folders = {pattern.partition("/")[0] for patterns in PLACES.values() for pattern in patterns}
    for folder in sorted(folders):
        for path in sorted((home / folder).glob(f".*{REMOVED}")):
            try:
                _remove(path)
            except OSError as error:
                yield f"{path} cannot be removed ({error.strerror}); remove it by hand"


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            yield from (inner for inner in path.rglob("*") if inner.is_symlink() or inner.is_file())
        else:
            yield path
