"""A checkpoint, known by its content: one digest over every file of its folder.

`admit` is the only door: it checks and hashes a folder before any model library touches it, and
hands out a `CheckpointRef` that the rest of Holdfast passes around. A verdict binds the digest, so
whoever ran the model asks `verify_unchanged` afterwards: a folder that moved under the evaluation
has no verdict. A changed chat template can fake safety on its own, so it has a digest too.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from holdfast.admission import (
    AdmittedFile,
    Stamp,
    admitted_files,
    opened_folder,
    stamp_of,
    strict_json,
)
from holdfast.errors import CheckpointRefused, NotBuilt
from holdfast.weights import TensorSpan, read_header

WEIGHTS = "model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER = "+adapter/"  # before the paths of an adapter's files; no file's own name has a plus
INDEX = "model.safetensors.index.json"
MODEL_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

# what saving a model again changes without changing the model
INCIDENTAL_CONFIG = frozenset({"transformers_version", "_name_or_path", "_commit_hash"})


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
    `path`; its files are among `files`, with ADAPTER before their paths.
    """

    name: str
    path: Path
    digest: str
    files: tuple[FileEntry, ...]
    template_sha256: str
    stamps: tuple[Stamp, ...] = field(compare=False, repr=False)
    adapter: Path | None = None


def admit(uri: str, roots: Sequence[Path]) -> CheckpointRef:
    """Check and hash the checkpoint at a plain path or `file://` URI under one of `roots`.

    Raises CheckpointRefused with one sentence about the first thing that is wrong, and NotBuilt
    for sources that this version does not load.
    """
    folder, admitted = admitted_folder(uri, roots)
    by_path = {file.path: file for file in admitted}
    _check_config(by_path)
    _check_weights(by_path)
    files = tuple(FileEntry(file.path, file.stamp.size, file.sha256) for file in admitted)
    return CheckpointRef(
        name=folder.name,
        path=folder,
        digest=manifest_digest(files),
        files=files,
        template_sha256=template_digest(chat_template(folder)),
        stamps=tuple(file.stamp for file in admitted),
    )


def admitted_folder(uri: str, roots: Sequence[Path]) -> tuple[Path, list[AdmittedFile]]:
    """A folder and its files, each checked by itself and hashed; not as a model."""
    folder = _local_path(uri)
    try:
        with opened_folder(folder, roots) as descriptor:
            return folder, admitted_files(descriptor)
    except OSError as error:
        raise CheckpointRefused(f"checkpoint {uri} cannot be read: {error.strerror}") from error


def manifest_digest(files: Sequence[FileEntry]) -> str:
    """The digest `sha256:<64 hex>` of a set of files, whatever their order."""
    lines = "".join(json.dumps(list(entry)) + "\n" for entry in sorted(files))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def verify_unchanged(ref: CheckpointRef) -> None:
    """Raise CheckpointRefused unless the folder still holds exactly the files that were admitted.

    Compares names, sizes, modification times and inodes; reads no file.
    """
    found = _files_below(ref.path)
    if ref.adapter is not None:
        found |= {f"{ADAPTER}{name}": path for name, path in _files_below(ref.adapter).items()}
    expected = {entry.path: stamp for entry, stamp in zip(ref.files, ref.stamps, strict=True)}
    changed = sorted(found.keys() ^ expected.keys()) or [
        name for name, path in found.items() if stamp_of(os.lstat(path)) != expected[name]
    ]
    if changed:
        raise CheckpointRefused(
            f"checkpoint {ref.path} changed after it was admitted ({changed[0]}), so nothing "
            f"measured on it belongs to {ref.digest}; submit it again"
        )


def _files_below(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def chat_template(path: Path) -> str | None:
    """The chat template that a tokenizer in this folder would use, or None if it has none."""
    own_file = path / "chat_template.jinja"
    if own_file.is_file():
        try:
            return own_file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointRefused(f"{own_file} is not UTF-8; save the tokenizer again") from error
    config = path / "tokenizer_config.json"
    if not config.is_file():
        return None
    match strict_json(config.read_bytes(), str(config)):
        case {"chat_template": str(template)}:
            return template
        case {"chat_template": [*named]}:  # the one called default is used unasked
            return _default_template(named, config)
        case {"chat_template": other} if other is not None:
            raise CheckpointRefused(f"{config}: chat_template is no text; save the tokenizer again")
        case dict():
            return None
        case _:
            raise CheckpointRefused(f"{config}: not a JSON object; save the tokenizer again")


def _default_template(named: Sequence[Any], config: Path) -> str:
    for entry in named:
        match entry:
            case {"name": "default", "template": str(template)}:
                return template
    raise CheckpointRefused(
        f"{config}: a list of chat templates without one named 'default'; name the one to use"
    )


def template_digest(template: str | None) -> str:
    """64 hex digits of a template; no template counts as no bytes."""
    return hashlib.sha256((template or "").encode(errors="surrogatepass")).hexdigest()


def same_architecture(a: Path, b: Path) -> bool:
    """Whether the weights of one could be copied over the other's in a running engine.

    Same config but for what saving changes, and the same tensors by name, dtype and shape; how
    they are spread over files does not matter.
    """
    return _architecture(a) == _architecture(b)


def _architecture(folder: Path) -> tuple[dict[str, Any], dict[str, tuple[str, tuple[int, ...]]]]:
    config = strict_json((folder / "config.json").read_bytes(), str(folder / "config.json"))
    kept = {key: value for key, value in config.items() if key not in INCIDENTAL_CONFIG}
    if "dtype" in kept:  # transformers 5 writes `dtype` where 4 wrote `torch_dtype`
        kept["torch_dtype"] = kept.pop("dtype")
    tensors = {
        name: (span.dtype, span.shape)
        for file in sorted(folder.glob("*.safetensors"))
        for name, span in tensor_spans(file).items()
    }
    return kept, tensors


def tensor_spans(file: Path) -> dict[str, TensorSpan]:
    """Tensors by name of one safetensors file."""
    with file.open("rb") as opened:
        return read_header(opened, os.fstat(opened.fileno()).st_size, str(file))


def _local_path(uri: str) -> Path:
    if not SCHEME.match(uri):
        return Path(os.path.normpath(Path(uri).absolute()))
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file":
        raise NotBuilt(
            f"checkpoint source {parts.scheme}:// is not available in this version; "
            "download it and give its folder as a path or file:// URI"
        )
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise CheckpointRefused(f"{uri} names another host; expected file:///absolute/path")
    return Path(os.path.normpath(unquote(parts.path)))


def _check_config(files: dict[str, AdmittedFile]) -> None:
    if ADAPTER_CONFIG in files:
        raise CheckpointRefused(
            f"{ADAPTER_CONFIG} makes this an adapter, which is no checkpoint without its base; "
            "give the base's folder, and this one as its `adapter`"
        )
    if "config.json" not in files:
        raise CheckpointRefused("no config.json; expected the folder of a transformers checkpoint")
    config = files["config.json"].content
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(model_type, str) or not MODEL_TYPE.fullmatch(model_type):
        raise CheckpointRefused(
            f"config.json: model_type is {model_type!r}, expected a name such as 'llama'"
        )


def _check_weights(files: dict[str, AdmittedFile]) -> None:
    """Loaders choose among weight files in different ways, so there may be nothing to choose."""
    shards = {path: file.tensors for path, file in files.items() if file.tensors is not None}
    if not shards:
        raise CheckpointRefused("no .safetensors weights; save the model with safetensors")
    expected: Mapping[str, set[str] | None]
    expected = _indexed(files[INDEX].content) if INDEX in files else {WEIGHTS: None}
    if odd := sorted(expected.keys() ^ shards.keys()):
        where = (
            "the index names" if INDEX in files else f"without {INDEX} only {WEIGHTS} is loaded,"
        )
        state = "it is missing" if odd[0] in expected else "it lies there besides"
        raise CheckpointRefused(
            f"{odd[0]}: {where} {', '.join(sorted(expected))}, and {state}; "
            "keep exactly the weight files that belong to the model"
        )
    for shard, names in expected.items():
        if names is not None and names != shards[shard].keys():
            odd_name = min(names ^ shards[shard].keys())
            raise CheckpointRefused(
                f"{shard}: tensor {odd_name!r} stands in only one of index and file; save again"
            )


def _indexed(index: Any) -> Mapping[str, set[str] | None]:
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointRefused(f"{INDEX}: no weight_map of tensor names to files; save again")
    shards: dict[str, set[str]] = {}
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or "/" in shard or not shard.endswith(".safetensors"):
            raise CheckpointRefused(
                f"{INDEX}: tensor {name!r} is said to be in {shard!r}, "
                "expected the name of a .safetensors file beside it"
            )
        shards.setdefault(shard, set()).add(name)
    return shards
