"""Which files an engine has loaded, so that an `open` of the same ones costs nothing.

A path is not enough: a folder can be written again under the same name, and answers of the old
weights would then be filed under the digest of the new ones. Weights are told by their stamps, in
which a ctime stands that no copy keeps; everything else is small and told by its content.
"""

import hashlib
from pathlib import Path

from holdfast.checkpoints.model_files import is_weights
from holdfast.checkpoints.stamps import Stamp, stamp_of

FolderState = tuple[Path, tuple[tuple[str, Stamp | str], ...]]


def folder_state(checkpoint: Path) -> FolderState:
    """The state of a folder: its path and the stamp of every file, equal while none is touched."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    return checkpoint, tuple((str(file), _identity(file)) for file in files)


def _identity(file: Path) -> Stamp | str:
    if is_weights(file.name):
        return stamp_of(file.stat())
    return hashlib.sha256(file.read_bytes()).hexdigest()
