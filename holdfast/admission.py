"""Which files may make up a checkpoint: decided before any model library has seen one of them.

`trust_remote_code=False` has been broken more than once, and pickle scanners too, so the rule is
an allow-list: a folder under an allowed root, reached without following a link, that holds plain
files of known kinds with plain names, and JSON without a key that asks a loader for code. Every
file is opened once and read from that descriptor, so that what was checked is what was hashed.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from holdfast.errors import CheckpointRefused
from holdfast.weights import TensorSpan, read_header

MAX_ENTRIES = 2_000
MAX_FOLDER_DEPTH = 4
MAX_JSON_BYTES = 32_000_000
MAX_JSON_DEPTH = 64

PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
ALLOWED_SUFFIXES = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model", ".md"})
ALLOWED_STEMS = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "README", "USE_POLICY")
ALLOWED_NAMES = frozenset({".gitattributes"})  # every hub repository carries one
CODE_KEYS = frozenset({"auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code"})

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file; enough to notice that it was touched."""

    size: int
    mtime_ns: int
    inode: int
    device: int


@dataclass(frozen=True, slots=True)
class AdmittedFile:
    """One checked file; `tensors` only of weights, `content` only of JSON."""

    path: str
    sha256: str
    stamp: Stamp
    tensors: dict[str, TensorSpan] | None = None
    content: Any = None


@contextmanager
def opened_folder(folder: Path, roots: Sequence[Path]) -> Iterator[int]:
    """A descriptor of `folder`, reached from an allowed root without following any link below it.

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
    absolute = Path(os.path.normpath(folder.absolute()))
    for root in roots:
        resolved = root.resolve()
        for form in (root.absolute(), resolved):
            if absolute.is_relative_to(form):
                return resolved, absolute.relative_to(form)
    listed = ", ".join(map(str, roots)) or "none is set"
    raise CheckpointRefused(
        f"checkpoint {folder} lies outside the allowed roots ({listed}); "
        "move it there or have the operator add its folder to HOLDFAST_CHECKPOINT_ROOTS"
    )


def _open_folder(name: str, parent: int | None, whole: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if parent is not None else 0)
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError as error:
        raise CheckpointRefused(
            f"checkpoint {whole} does not exist ({name!r} is missing)"
        ) from error
    except OSError as error:
        raise CheckpointRefused(
            f"checkpoint {whole}: {name!r} is a link or not a readable folder ({error.strerror}); "
            "give the real path of the checkpoint's folder"
        ) from error


def admitted_files(folder: int) -> list[AdmittedFile]:
    """Every file below the open folder, checked and hashed, sorted by path."""
    files = [_admit_file(parent, name, path) for parent, name, path in _walk(folder)]
    return sorted(files, key=lambda file: file.path)


def _walk(top: int) -> Iterator[tuple[int, str, str]]:
    """Each file: the open descriptor of its folder, its name, its path relative to the top."""
    seen = 0
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with _opened_below(top, prefix) as parent:
            for entry in sorted(os.scandir(parent), key=lambda entry: entry.name):
                seen += 1
                path = f"{prefix}{entry.name}"
                _check_entry(path, entry.name, seen)
                if entry.is_dir(follow_symlinks=False):
                    _check_depth(path)
                    waiting.append(f"{path}/")
                else:
                    yield parent, entry.name, path


@contextmanager
def _opened_below(top: int, prefix: str) -> Iterator[int]:
    with ExitStack() as stack:
        descriptor = top
        for component in prefix.split("/")[:-1]:
            descriptor = _open_folder(component, descriptor, Path(prefix))
            stack.callback(os.close, descriptor)
        yield descriptor


def _check_entry(path: str, name: str, seen: int) -> None:
    if seen > MAX_ENTRIES:
        raise CheckpointRefused(
            f"more than {MAX_ENTRIES} files and folders; submit the model's own folder only"
        )
    if not PLAIN_NAME.fullmatch(name):
        raise CheckpointRefused(
            f"{path!r}: names may hold only letters, digits, dot, dash and underscore; rename it"
        )


def _check_depth(path: str) -> None:
    if path.count("/") >= MAX_FOLDER_DEPTH:
        raise CheckpointRefused(
            f"{path}: folders nest deeper than {MAX_FOLDER_DEPTH}; submit the model's own folder"
        )


def _admit_file(parent: int, name: str, path: str) -> AdmittedFile:
    before = os.stat(name, dir_fd=parent, follow_symlinks=False)
    _check_kind(before, path)
    _check_name(name, path)
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        _check_kind(status, path)
        admitted = _read(file, path, stamp_of(status))
        if stamp_of(os.fstat(file.fileno())) != admitted.stamp:
            raise CheckpointRefused(f"{path} changed while it was read; submit it when it is done")
    return admitted


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file's status."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


def _check_kind(status: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise CheckpointRefused(f"{path} is a symbolic link; put the file itself there")
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointRefused(f"{path} is not a plain file; a checkpoint holds nothing else")
    if status.st_nlink != 1:
        raise CheckpointRefused(
            f"{path} is a hard link ({status.st_nlink} names), so another name could change it; "
            "put a copy there"
        )


def _check_name(name: str, path: str) -> None:
    suffix = Path(name).suffix.lower()
    if name in ALLOWED_NAMES or suffix in ALLOWED_SUFFIXES:
        return
    if name.upper().startswith(ALLOWED_STEMS) and suffix == "":
        return
    raise CheckpointRefused(
        f"{path}: a checkpoint may hold only {' '.join(sorted(ALLOWED_SUFFIXES))} files and a "
        "licence, because others can run code when they are loaded; save weights as safetensors "
        "and move the rest out"
    )


def _read(file: BufferedReader, path: str, stamp: Stamp) -> AdmittedFile:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    if path.lower().endswith(".safetensors"):
        return AdmittedFile(path, digest, stamp, tensors=read_header(file, stamp.size, path))
    if path.lower().endswith(".json"):
        if stamp.size > MAX_JSON_BYTES:
            raise CheckpointRefused(f"{path}: {stamp.size} bytes of JSON, at most {MAX_JSON_BYTES}")
        return AdmittedFile(path, digest, stamp, content=strict_json(file.read(), path))
    return AdmittedFile(path, digest, stamp)


def strict_json(raw: bytes, place: str) -> Any:
    """JSON of a checkpoint: UTF-8, at most 64 deep, no key twice, no key that asks for code."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointRefused(
            f"{place}: not UTF-8 at byte {error.start}; save it again"
        ) from error
    if _depth(text) > MAX_JSON_DEPTH:
        raise CheckpointRefused(f"{place}: JSON nested deeper than {MAX_JSON_DEPTH}")

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            raise CheckpointRefused(f"{place}: a key stands twice in one object; keep one of them")
        if asking := CODE_KEYS & content.keys():
            raise CheckpointRefused(
                f"{place}: key {min(asking)!r} asks the loader to run code; "
                "use a model type that transformers has built in, and remove the key"
            )
        return content

    try:
        return json.loads(text, object_pairs_hook=checked)
    except json.JSONDecodeError as error:
        raise CheckpointRefused(
            f"{place}: not JSON, line {error.lineno}: {error.msg}; save it again"
        ) from error
    except CheckpointRefused:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise CheckpointRefused(f"{place}: {error}; save it again") from error


def _depth(text: str) -> int:
    """Deepest nesting, by the brackets outside strings: no parser recurses before it is known."""
    deepest = depth = 0
    for bracket in _NOT_BRACKETS.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
