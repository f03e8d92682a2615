"""Every file of a folder that counts, checked and hashed before any model library has seen it.

`trust_remote_code=False` has been broken more than once, and pickle scanners too, so what is not on
the lists of `model_files` is never opened. Every file is opened once and read from that descriptor,
so that what was checked is what was hashed; whoever goes on to load it keeps the descriptor. What
is read whole is of bounded size, in each file and in all of them. All that is wrong with a folder
is said at once.
"""

import hashlib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path
from typing import Any

from holdfast.checkpoints.allowed_roots import open_file, opened_folder
from holdfast.checkpoints.json_files import LARGE_JSON, MAX_JSON_BYTES, parse_json
from holdfast.checkpoints.listing import MAX_FILES, Listing, list_folder, names_in
from holdfast.checkpoints.model_files import INDEX, PARTS, WEIGHTS, Role, is_weights
from holdfast.checkpoints.safetensors_header import TensorSpan, read_header
from holdfast.checkpoints.stamps import Stamp, lasting_stamp, stamp_of
from holdfast.errors import CheckpointRefused

MAX_TEMPLATE_BYTES = 1_000_000  # published ones have up to 60,000
MAX_VOCABULARY_BYTES = 64_000_000  # and those up to 20 million
VOCABULARIES = frozenset(PARTS["tokenizer"]) - {"tokenizer_config.json", "special_tokens_map.json"}
MAX_BYTES = {Role.MODEL: 200_000_000, Role.COUNTED: 4_000_000_000}  # of all files but weights


@dataclass(frozen=True, slots=True)
class AdmittedFile:
    """One checked file; `tensors` only of weights, `content` of a model's JSON but vocabularies.

    `text` is a chat template's. `descriptor` is open where whoever admits wants to load the file.
    """

    path: str
    sha256: str
    stamp: Stamp
    role: Role
    tensors: dict[str, TensorSpan] | None = None
    content: Any = None
    text: bytes | None = None
    descriptor: int | None = None


@dataclass(frozen=True, slots=True)
class AdmittedFolder:
    """The files of a folder that count, by path, and the names of what lies there besides.

    `findings` says what is wrong, a sentence by the path that it is about.
    """

    path: Path
    files: dict[str, AdmittedFile]
    ignored: tuple[str, ...]
    findings: dict[str, str]


def admit_folder(
    folder: Path,
    roots: Sequence[Path],
    *,
    weights: Collection[str] | None = None,
    keep: ExitStack | None = None,
) -> AdmittedFolder:
    """Check and hash what counts in a folder; `weights` are the index's where none are named.

    `keep` is given the descriptors of a model's files to close. Raises CheckpointRefused only where
    nothing can be said of single files.
    """
    files: dict[str, AdmittedFile] = {}
    findings: dict[str, str] = {}
    with opened_folder(folder, roots) as top:
        place = _Place(top, folder, roots, keep)
        if weights is None:
            weights = {WEIGHTS}
            if INDEX in names_in(top):
                place.admit(INDEX, Role.MODEL, files, findings)
                weights = shards_of(files[INDEX].content) if INDEX in files else ()
        listing = list_folder(top, weights)
        if len(listing.files) > MAX_FILES:
            raise CheckpointRefused(
                f"{folder}: more than {MAX_FILES} files; submit the model's own folder only"
            )
        _refuse_bulk(top, folder, listing)
        for path, role in listing.files:
            if path not in files | findings:
                place.admit(path, role, files, findings)
        if list_folder(top, weights) != listing:
            raise CheckpointRefused(
                f"{folder}: files came or went while it was read, so it is still being written; "
                "submit it when it is done"
            )
    return AdmittedFolder(folder, dict(sorted(files.items())), listing.ignored, findings)


def _refuse_bulk(top: int, folder: Path, listing: Listing) -> None:
    """Raise CheckpointRefused where what is no weights is more than any model has."""
    for role, limit in MAX_BYTES.items():
        paths = [p for p, kind in listing.files if kind is role and not is_weights(p)]
        if (size := sum(_size(top, path) for path in paths)) > limit:
            raise CheckpointRefused(
                f"{folder}: {len(paths)} files that are no weights have {size} bytes, at most "
                f"{limit}; submit the model's own folder only"
            )


def _size(top: int, path: str) -> int:
    try:
        return os.stat(path, dir_fd=top).st_size
    except OSError:  # what is wrong with it is said when it is read
        return 0


def shards_of(index: Any) -> set[str]:
    """The weight files that an index names, as far as it is one."""
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    shards = weight_map.values() if isinstance(weight_map, dict) else ()
    return {shard for shard in shards if isinstance(shard, str)}


@dataclass(frozen=True, slots=True)
class _Place:
    """An open folder, and how its files are reached."""

    top: int
    folder: Path
    roots: Sequence[Path]
    keep: ExitStack | None

    def admit(
        self, path: str, role: Role, files: dict[str, AdmittedFile], findings: dict[str, str]
    ) -> None:
        """Check and hash one file, into `files`, or say in `findings` what is wrong with it."""
        with ExitStack() as stack:
            try:
                with opened_below(self.top, path) as parent:
                    descriptor = open_file(parent, path, self.folder, self.roots)
                stack.callback(os.close, descriptor)
                files[path] = _read(descriptor, path, role, keep_open=self.keep is not None)
            except CheckpointRefused as error:
                findings[path] = str(error)
                return
            except OSError as error:
                findings[path] = f"{path} cannot be read ({error.strerror}); copy it again"
                return
            if self.keep is not None and role is Role.MODEL:
                self.keep.push(stack.pop_all())


@contextmanager
def opened_below(top: int, path: str) -> Iterator[int]:
    """A descriptor of the folder in which a file lies, reached without following a link."""
    with ExitStack() as stack:
        descriptor = top
        for name in path.split("/")[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            try:
                descriptor = os.open(name, flags, dir_fd=descriptor)
            except OSError as error:
                raise CheckpointRefused(f"{path} cannot be read ({error.strerror})") from error
            stack.callback(os.close, descriptor)
        yield descriptor


def _read(descriptor: int, path: str, role: Role, *, keep_open: bool) -> AdmittedFile:
    stamp, began = stamp_of(os.fstat(descriptor)), time.time_ns()
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        tensors, content, text = _parse_content(file, path, role, stamp.size)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stamp_of(os.fstat(descriptor)) != stamp:
        raise CheckpointRefused(
            f"{path} changed while it was read, so it is still being written; submit it when it is "
            "done"
        )
    return AdmittedFile(
        path=path,
        sha256=digest,
        stamp=lasting_stamp(stamp, began),
        role=role,
        tensors=tensors,
        content=content,
        text=text,
        descriptor=descriptor if keep_open and role is Role.MODEL else None,
    )


def _parse_content(
    file: BufferedReader, path: str, role: Role, size: int
) -> tuple[dict[str, TensorSpan] | None, Any, bytes | None]:
    """The content that is read of a file besides its digest: tensors, JSON, text."""
    if is_weights(path):
        return read_header(file, size, path), None, None
    if role is not Role.MODEL:
        return None, None, None
    if path.endswith(".json"):
        content = parse_json(_whole(file, path, LARGE_JSON.get(path, MAX_JSON_BYTES)), path)
        return None, None if _is_vocabulary(path) else content, None
    if path.endswith(".jinja"):
        return None, None, _whole(file, path, MAX_TEMPLATE_BYTES)
    _refuse_size(size, path, MAX_VOCABULARY_BYTES)
    return None, None, None


def _is_vocabulary(path: str) -> bool:
    """Whether this JSON is looked at and then dropped: it is large, and nobody asks for it."""
    return any(fnmatchcase(path, pattern) for pattern in VOCABULARIES)


def _whole(file: BufferedReader, path: str, limit: int) -> bytes:
    """All of a file that is at most `limit` bytes long."""
    size = os.fstat(file.fileno()).st_size
    _refuse_size(size, path, limit)
    return file.read(size)


def _refuse_size(size: int, path: str, limit: int) -> None:
    if size > limit:
        kind = "JSON" if path.endswith(".json") else "a model's text"
        raise CheckpointRefused(f"{path}: {size} bytes of {kind}, at most {limit}")
