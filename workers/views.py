"""The staged view of a checkpoint: all that engines, tokenizers, training and merging ever read.

A private folder with exactly the files that make up the model, as they were hashed. What is no
weight is written out from the descriptor that was hashed. Weights are cloned where the file system
can, or else are links to the very descriptors, `/proc/PID/fd/N`, which this process keeps open: a
file that is renamed, replaced or removed meanwhile is still read as it was, and one that is written
over is noticed when the view is verified. Where neither works they are copied.

Every worker has a folder of its own, held by a lock: whatever lies under an unheld one is the
leftover of a dead process, never trusted and removed by the next.
"""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from holdfast.checkpoints.admission import AdmittedFile, AdmittedFolder
from holdfast.checkpoints.checkpoint import CheckpointRef, entries, manifest_digest
from holdfast.checkpoints.config import asks_for_code
from holdfast.checkpoints.json_files import without_code_keys
from holdfast.checkpoints.model_files import Role, is_weights
from holdfast.checkpoints.stamps import Stamp, hash_again, stamp_of
from holdfast.checkpoints.view_paths import VIEWS
from holdfast.errors import CheckpointRefused
from holdfast.settings import make_folder

FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file until one of both is written


@dataclass(slots=True)
class Link:
    """A file of weights that a view leads to by its open descriptor; `stamp` as last verified."""

    name: str
    descriptor: int
    sha256: str
    stamp: Stamp

    def untouched(self) -> bool:
        """Whether nothing has touched the file since; CheckpointRefused where its content moved."""
        if stamp_of(os.fstat(self.descriptor)) == self.stamp:
            return True
        digest, stamp = hash_again(self.descriptor, self.name)
        if digest != self.sha256:
            raise CheckpointRefused(
                f"{self.name} was written over while it was open, so nothing that is computed with "
                "it belongs to what was submitted; submit the checkpoint again when it is done"
            )
        self.stamp = stamp  # not before: what was written over stays so, however often it is asked
        return False


class View:
    """One staged folder; `close` removes it and lets go of the descriptors behind it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._links: list[Link] = []
        self._descriptors = ExitStack()

    def fill(self, folder: AdmittedFolder) -> None:
        """Stage the files of a model whose descriptors are open; what was there before is gone."""
        self.close()
        self.path.mkdir(mode=0o700)
        try:
            for file in folder.files.values():
                if file.role is Role.MODEL:
                    self._add(file)
            self.untouched()
        except BaseException:
            self.close()
            raise

    def untouched(self) -> bool:
        """Whether nothing has touched the weights since this was last asked.

        Content that is as it was, of a file that was touched, is False and no error: whatever was
        loaded in between may have seen another. CheckpointRefused where the content is another.
        """
        touched = [link for link in self._links if not link.untouched()]
        return not touched

    def close(self) -> None:
        """Remove the folder. What has been loaded from it stays loaded."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._links = []
        self._descriptors.close()

    def _add(self, file: AdmittedFile) -> None:
        if file.descriptor is None:
            raise ValueError(f"{file.path} was not kept open")
        place = self.path / file.path
        place.parent.mkdir(exist_ok=True)
        if not is_weights(file.path):
            write_out(file, file.descriptor, place)
        elif not clone_file(file, file.descriptor, place):
            descriptor = os.dup(file.descriptor)
            self._descriptors.callback(os.close, descriptor)
            if link_file(descriptor, place):
                self._links.append(Link(file.path, descriptor, file.sha256, file.stamp))
            else:
                copy_file(file, descriptor, place)


def write_out(file: AdmittedFile, descriptor: int, place: Path) -> None:
    """The file that was hashed; of a config, without the keys that ask a loader for code."""
    copy_file(file, descriptor, place)
    if asks_for_code(file):
        place.write_text(json.dumps(without_code_keys(file.content), indent=2), encoding="utf-8")


def clone_file(file: AdmittedFile, descriptor: int, place: Path) -> bool:
    """Share the file's blocks, where the file system can; False where not."""
    with place.open("wb+") as clone:
        try:
            fcntl.ioctl(clone.fileno(), FICLONE, descriptor)
        except OSError:
            place.unlink()
            return False
        if stamp_of(os.fstat(descriptor)) != file.stamp:
            refuse_another(file, hash_of(clone.fileno()))
    return True


def link_file(descriptor: int, place: Path) -> bool:
    """Link to an open descriptor of this process; False where that cannot be opened."""
    try:
        place.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
        if os.path.samestat(place.stat(), os.fstat(descriptor)):
            return True
    except OSError:
        pass  # no procfs, or no links where the view lies
    place.unlink(missing_ok=True)
    return False


def copy_file(file: AdmittedFile, descriptor: int, place: Path) -> None:
    """Copy the file and make sure that the copy is what was hashed."""
    with os.fdopen(os.dup(descriptor), "rb") as source, place.open("wb+") as copy:
        source.seek(0)
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        refuse_another(file, hash_of(copy.fileno()))


def hash_of(descriptor: int) -> str:
    """The SHA-256 of an open file that nobody else writes."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_another(file: AdmittedFile, digest: str) -> None:
    """Raise CheckpointRefused if a file is not what was hashed of it."""
    if digest != file.sha256:
        raise CheckpointRefused(
            f"{file.path} changed after it was hashed, so it is still being written; submit the "
            "checkpoint when it is done"
        )


@dataclass(frozen=True, slots=True)
class StagedCheckpoint:
    """An admitted checkpoint and its view; `ref.path` is where it came from."""

    ref: CheckpointRef
    view: View

    @property
    def name(self) -> str:
        """The name that people call it by."""
        return self.ref.name

    @property
    def digest(self) -> str:
        """The digest that it is registered under."""
        return self.ref.digest

    @property
    def path(self) -> Path:
        """The folder to load."""
        return self.view.path


class Views:
    """The views of one worker, by digest."""

    def __init__(self, home: Path) -> None:
        allow_many_files()
        self._parent = home / VIEWS
        self._locked_folder: Path | None = None
        self._lock = ExitStack()
        self._open: dict[str, View] = {}

    def stage(self, ref: CheckpointRef, folder: AdmittedFolder) -> StagedCheckpoint:
        """The view of an admitted folder whose descriptors are open; one that is there if it holds.

        It holds where nothing has touched the files behind it: content that came back is staged
        anew, since an engine may have read it while it was away.
        """
        name = manifest_digest(entries(folder)).removeprefix("sha256:")
        view = self._open.get(name) or View(self._folder() / name)
        if name not in self._open or not holds(view):
            view.fill(folder)
            self._open[name] = view
        return StagedCheckpoint(ref, view)

    def close_unused(self, loaded: Path | None) -> None:
        """Close all views but the one that a warm engine goes on with."""
        for name, view in list(self._open.items()):
            if view.path != loaded:
                view.close()
                del self._open[name]

    def close(self) -> None:
        """Close all of them and give up this worker's folder."""
        self.close_unused(None)
        self._locked_folder = None
        self._lock.close()

    def _folder(self) -> Path:
        """This worker's own folder, made and locked at the first need."""
        if self._locked_folder is None:
            make_folder(self._parent)
            sweep(self._parent)
            self._locked_folder = self._lock.enter_context(hold_folder(self._parent))
        return self._locked_folder


def holds(view: View) -> bool:
    """Whether a view can be read again as it is."""
    try:
        return view.untouched()
    except CheckpointRefused:
        return False


@contextmanager
def hold_folder(parent: Path) -> Iterator[Path]:
    """A new folder that counts as somebody's as long as the block lasts; removed with it."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():  # else another worker swept it before it was locked
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def sweep(parent: Path) -> None:
    """Remove the folders that no live process holds."""
    for folder in parent.iterdir():
        with suppress(OSError):  # it is held, or was just removed
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def allow_many_files() -> None:
    """Take as many descriptors as this process may have: a model can be hundreds of files."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
