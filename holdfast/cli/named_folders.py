"""The checkpoint folders that a command line names: their real place, and what is ignored in them.

A cache of huggingface_hub keeps the files of a snapshot as links into `blobs` beside it, so what a
person permits by naming a snapshot is the whole folder of its repository.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from holdfast.checkpoints.listing import list_folder
from holdfast.checkpoints.model_files import ADAPTER_WEIGHTS, INDEX, WEIGHTS
from holdfast.checkpoints.weight_files import shards_in
from holdfast.cli.command import note
from holdfast.stack.connect import local_path

OPTIONS = ("candidate", "adapter", "baseline", "anchor")


def named_folders(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Each option that names a folder of this machine, with its real place."""
    for option in OPTIONS:
        word = getattr(options, option)
        folder = None if word is None else local_path(word)
        if folder is not None and folder.is_dir():
            yield option, folder.resolve()


def permitted_root(folder: Path) -> Path:
    """The folder to permit for a checkpoint whose real place is `folder`."""
    snapshots = folder.parent
    if snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--"):
        return snapshots.parent
    return snapshots


def tell_ignored(options: argparse.Namespace) -> None:
    """Say what of the named folders is no part of a model, where there is anything."""
    for option, folder in named_folders(options):
        if ignored := ignored_in(folder):
            note(f"of {option} {folder.name} this is ignored: {', '.join(ignored)}")


def ignored_in(folder: Path) -> tuple[str, ...]:
    """The files that admission will ignore in a folder; none where the folder is refused anyway."""
    weights = shards_in(folder / INDEX) or {WEIGHTS, ADAPTER_WEIGHTS}
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return ()
    try:
        return list_folder(descriptor, weights).ignored
    finally:
        os.close(descriptor)
