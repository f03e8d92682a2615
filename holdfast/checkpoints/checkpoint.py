"""A checkpoint, known by its content: one digest over every file of its folder that counts.

`admit` is the only door: it checks and hashes a folder before any model library touches it, and
hands out a `CheckpointRef` that the rest of Holdfast passes around. A verdict binds the digest, so
whoever ran the model asks `verify_unchanged` afterwards: a folder that moved under the evaluation
has no verdict. A changed chat template can fake safety on its own, so it has a digest too.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from holdfast.checkpoints.admission import AdmittedFolder, admit_folder
from holdfast.checkpoints.allowed_roots import SCHEME, real_path
from holdfast.checkpoints.chat_template import check_template, template_digest, template_in
from holdfast.checkpoints.config import check_config, dropped_keys
from holdfast.checkpoints.json_files import abridged
from holdfast.checkpoints.listing import list_folder
from holdfast.checkpoints.model_files import is_weights
from holdfast.checkpoints.safetensors_header import TensorSpan, read_header
from holdfast.checkpoints.stamps import Stamp, hash_again, stamp_of
from holdfast.checkpoints.weight_files import check_weights
from holdfast.errors import CheckpointRefused, NotBuilt
from holdfast.plain_files import open_plain

MOST_FINDINGS = 20  # that are told of one folder
MAX_NAME = 200  # characters that its column has, and a folder's name may have more
ADAPTER = "+adapter/"  # before the paths of an adapter's files; no file's own name has a plus

# what saving a model again changes without changing the model


class FileEntry(NamedTuple):
    """One line of the manifest behind a digest."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """An admitted checkpoint.

    `digest` is `sha256:` and the SHA-256 of the manifest: one line of JSON `[path, size, sha256]`
    a file, sorted by path. `template_sha256` is that of the chat template's UTF-8 bytes, and of no
    bytes at all where there is none. `stamps` (one a file, same order) belongs to this machine and
    moment; two refs are equal without it. `adapter` is the folder of an adapter whose base lies at
    `path`; its files are among `files`, with ADAPTER before their paths. `ignored` is what lies in
    the folder and no loader is shown, so it is part of nothing.
    """

    name: str
    path: Path
    digest: str
    files: tuple[FileEntry, ...]
    template_sha256: str
    stamps: tuple[Stamp, ...] = field(compare=False, repr=False)
    adapter: Path | None = None
    ignored: tuple[str, ...] = field(default=(), compare=False, repr=False)


def admit(uri: str, roots: Sequence[Path]) -> CheckpointRef:
    """Check and hash the checkpoint at a plain path or `file://` URI under one of `roots`.

    Raises CheckpointRefused with a sentence about everything that is wrong, and NotBuilt for
    sources that this version does not load.
    """
    return ref_of(admitted_model(uri, roots))


def admitted_model(
    uri: str, roots: Sequence[Path], keep: ExitStack | None = None
) -> AdmittedFolder:
    """The checked files of a whole model; `keep` closes those that stay open to be loaded."""
    folder = admit_folder(local_path(uri), roots, keep=keep)
    findings = [*check_config(folder), *check_weights(folder), *check_template(folder)]
    refuse_findings(folder, findings)
    return folder


def ref_of(folder: AdmittedFolder) -> CheckpointRef:
    """The reference by which an admitted model is passed around."""
    files = entries(folder)
    return CheckpointRef(
        name=folder.path.name[:MAX_NAME],
        path=folder.path,
        digest=manifest_digest(files),
        files=files,
        template_sha256=template_digest(template_in(folder)),
        stamps=tuple(file.stamp for file in folder.files.values()),
        ignored=(*folder.ignored, *dropped_keys(folder)),
    )


def entries(folder: AdmittedFolder) -> tuple[FileEntry, ...]:
    """The lines of a folder's manifest."""
    return tuple(FileEntry(f.path, f.stamp.size, f.sha256) for f in folder.files.values())


def refuse_findings(folder: AdmittedFolder, findings: Sequence[str]) -> None:
    """Raise CheckpointRefused if there is anything wrong with a folder or one of its files."""
    wrong = [*folder.findings.values(), *findings]
    if len(wrong) == 1:
        raise CheckpointRefused(wrong[0])
    if wrong:
        numbered = "; ".join(
            f"({number}) {sentence}"
            for number, sentence in enumerate(wrong[:MOST_FINDINGS], start=1)
        )
        raise CheckpointRefused(f"{folder.path}: {len(wrong)} things are wrong: {numbered}")


def manifest_digest(files: Sequence[FileEntry]) -> str:
    """The digest `sha256:<64 hex>` of a set of files, whatever their order."""
    lines = "".join(json.dumps(list(entry)) + "\n" for entry in sorted(files))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def verify_unchanged(ref: CheckpointRef) -> None:
    """Raise CheckpointRefused unless the folder still holds exactly what was admitted.

    Names, sizes, times and inodes are compared; a file of which any of these moved is hashed again,
    since only its content counts.
    """
    present = _files_below(ref.path, ref)
    if ref.adapter is not None:
        adapted = _files_below(ref.adapter, ref)
        present |= {f"{ADAPTER}{name}": path for name, path in adapted.items()}
    expected = {
        entry.path: (entry, stamp) for entry, stamp in zip(ref.files, ref.stamps, strict=True)
    }
    changed = sorted(present.keys() ^ expected.keys()) or [
        name for name, path in sorted(present.items()) if not _holds(path, *expected[name])
    ]
    if changed:
        raise CheckpointRefused(
            f"checkpoint {ref.path} changed after it was admitted ({changed[0]}), so nothing "
            f"measured on it belongs to {ref.digest}; submit it again"
        )


def _files_below(folder: Path, ref: CheckpointRef) -> dict[str, Path]:
    """The places of the files that count now; the weights to load are those that were admitted."""
    weights = {entry.path.removeprefix(ADAPTER) for entry in ref.files if is_weights(entry.path)}
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return {}
    try:
        return {name: folder / name for name, _ in list_folder(descriptor, weights).files}
    finally:
        os.close(descriptor)


def _holds(path: Path, entry: FileEntry, stamp: Stamp) -> bool:
    """Whether the file at `path` is what was hashed."""
    try:
        with open_plain(path, CheckpointRefused) as file:
            descriptor = file.fileno()
            if stamp_of(os.fstat(descriptor)) == stamp:
                return True
            return hash_again(descriptor, str(path))[0] == entry.sha256
    except OSError:
        return False


def tensor_spans(file: Path) -> dict[str, TensorSpan]:
    """Tensors by name of one safetensors file."""
    with open_plain(file, CheckpointRefused) as opened:
        return read_header(opened, os.fstat(opened.fileno()).st_size, str(file))


def local_path(uri: str) -> Path:
    """The real place of a folder, whatever links lead to it."""
    if not SCHEME.match(uri):
        return real_path(Path(os.path.normpath(uri)))
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise CheckpointRefused(
            f"{abridged(uri)} is no URI ({error}); expected a path or file:///absolute/path"
        ) from error
    if parts.scheme.lower() != "file":
        raise NotBuilt(
            f"checkpoint source {parts.scheme:.40}:// is not available in this version; "
            "download it and give its folder as a path or file:// URI"
        )
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise CheckpointRefused(
            f"{abridged(uri)} names another host; expected file:///absolute/path"
        )
    return real_path(Path(os.path.normpath(unquote(parts.path))))
