"""Which files an engine has loaded, so that an `open` of the same ones costs nothing.

A path is not enough: a folder can be written again under the same name, and answers of the old
weights would then be filed under the digest of the new ones.
"""

from pathlib import Path

from holdfast.stamps import Stamp, stamp_of

FolderState = tuple[Path, tuple[tuple[str, Stamp], ...]]


def folder_state(checkpoint: Path) -> FolderState:
    """The folder with size, time and inode of every file in it."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    return checkpoint, tuple((str(file), stamp_of(file.stat())) for file in files)
