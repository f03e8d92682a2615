"""The checkpoint folder that a run leaves: whole, or not there at all.

Everything is written into a hidden sibling, synced to the disk, and renamed; a killed run can
leave a `.NAME.*.partial` folder, which nothing takes for a checkpoint and which may be deleted.
What is no weight (config, tokenizer, chat template, generation config, licence) is copied byte for
byte from the checkpoint that the run started from, so that the result loads, is rendered and is
swapped into a running engine exactly as that one.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.checkpoints.model_files import INDEX, TEMPLATE_FOLDER
from holdfast.errors import DiskFull, InvalidPlan
from holdfast.failures import NO_ROOM
from holdfast.repairs.plan import Plan
from training.weights.shards import read_object

COMPANION_SUFFIXES = frozenset({".json", ".jinja", ".txt", ".model"})
LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY")


def refuse_existing(output: Path) -> None:
    """Raise InvalidPlan if `output` exists, or has no folder to be made in."""
    if output.exists() or output.is_symlink():
        raise InvalidPlan(f"output {output} exists; name a new folder, nothing is overwritten")
    if not output.parent.is_dir():
        raise InvalidPlan(f"output {output}: its parent folder does not exist; create it first")


@contextmanager
def atomic_folder(output: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `output` when the block ends without an exception."""
    refuse_existing(output)
    partial = Path(
        tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".partial", dir=output.parent)
    )
    try:
        with room_on(output):
            yield partial
            partial.chmod(0o777 & ~_umask())  # mkdtemp's 0700 is only right for a worker's child
            for file in partial.rglob("*"):
                _sync(file)
            _sync(partial)
        refuse_existing(output)  # rename would replace an empty folder made in the meantime
        partial.rename(output)
        _sync(output.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # after the rename there is nothing to remove


@contextmanager
def room_on(place: Path) -> Iterator[None]:
    """Say in one sentence that the disk of `place` is full, where that ends the block."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise DiskFull(
            f"{place} could not be written ({error.strerror}) and nothing of it is kept; make "
            "room on its disk, or name another place"
        ) from error


@contextmanager
def atomic_file(place: Path) -> Iterator[Path]:
    """A file to write into, which takes `place` when the block ends without an exception."""
    partial = place.with_suffix(".partial")
    try:
        with room_on(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _sync(partial)
            partial.rename(place)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_checkpoint(plan: Plan) -> Iterator[Path]:
    """A folder that becomes `plan.output`, with everything in it that is not weights."""
    with atomic_folder(plan.output) as folder:
        copy_companions(plan.start_checkpoint, folder)
        if plan.store == "fp32":
            declare_fp32(folder)
        yield folder


def _umask() -> int:
    mask = os.umask(0o077)  # it cannot be read without being set
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_companions(start: Path, folder: Path) -> None:
    """Copy what is not weights from the checkpoint `start`; the model card describes that one."""
    templates = (start / TEMPLATE_FOLDER).glob("*.jinja")  # any may be what the tokenizer takes
    for file in sorted((*start.iterdir(), *templates)):
        is_companion = file.suffix in COMPANION_SUFFIXES or file.name.upper().startswith(LICENCES)
        if file.is_file() and is_companion and file.name != INDEX:
            copy = folder / file.relative_to(start)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)


def declare_fp32(folder: Path) -> None:
    """Have config.json say fp32, or a loader that obeys it would round the weights again."""
    path = folder / "config.json"
    config = read_object(path)
    key = "dtype" if "dtype" in config else "torch_dtype"
    path.write_text(json.dumps(config | {key: "float32"}, indent=2) + "\n", encoding="utf-8")
