"""Safetensors files as spans of bytes: read a piece here, write a piece there, never a model.

The output takes over the start checkpoint's files one by one: same names, same tensors in the same
order, same dtypes (or fp32 throughout, if the plan says so). Headers come first and files get
their full size at once, so tensors can be written in any order and from several threads.
Format: https://huggingface.co/docs/safetensors
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Self

import torch

from holdfast.checkpoints.json_files import strict_json
from holdfast.checkpoints.model_files import INDEX, WEIGHTS
from holdfast.checkpoints.safetensors_header import LENGTH_BYTES, read_header
from holdfast.errors import CheckpointRefused

FLOATS: dict[str, torch.dtype] = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
}
EARLY = 1 << 20  # bytes from which on a piece is worth telling the disk of
# buffers that old versions stored and that are computed anew, with the dimensions they had
BUFFERS = (
    (re.compile(r"\.rotary_emb\.inv_freq$"), 1),
    (re.compile(r"\.(attn|attention)\.bias$"), 4),
    (re.compile(r"\.(attn|attention)\.masked_bias$"), 0),
)
EXACT = frozenset({"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"})  # never averaged


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor as its file names it, of which a span is one part."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Where one tensor lies: `begin` is the byte in `file` at which its first element stands.

    `part_of` is the tensor of the file where a span has another name, or is one expert of many.
    """

    file: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    nbytes: int
    part_of: FileTensor | None = None

    def stored_name(self, name: str) -> str:
        """The name in the file, of a span that is called `name`."""
        return name if self.part_of is None else self.part_of.name

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def floating(self) -> torch.dtype | None:
        """The torch dtype of weights, None for indices and flags."""
        return FLOATS.get(self.dtype)


def read_spans(folder: Path) -> dict[str, Span]:
    """Tensors of a checkpoint by name, in the order of its files and of the bytes in them.

    Raises CheckpointRefused if the headers do not hold or a dtype is not one of plain weights.
    """
    spans: dict[str, Span] = {}
    for file in _weight_files(folder):
        with file.open("rb") as opened:
            file_spans = read_header(opened, os.fstat(opened.fileno()).st_size, str(file))
            origin = opened.tell()
        for name, span in sorted(file_spans.items(), key=lambda item: (item[1].begin, item[1].end)):
            if name in spans:
                raise CheckpointRefused(
                    f"{folder}: tensor {name!r} stands in two files; save again"
                )
            if span.dtype not in EXACT | FLOATS.keys():
                raise CheckpointRefused(
                    f"{folder}: tensor {name!r} is {span.dtype}, expected plain weights "
                    f"({', '.join(FLOATS)}); dequantise the checkpoint first"
                )
            size = span.end - span.begin
            spans[name] = Span(file.name, span.dtype, span.shape, origin + span.begin, size)
    return spans


def read_weights(folder: Path) -> dict[str, Span]:
    """The tensors of a checkpoint by name, without the buffers that old versions stored."""
    spans = read_spans(folder)
    return {name: span for name, span in spans.items() if not is_old_buffer(name, span)}


def is_old_buffer(name: str, span: Span) -> bool:
    """Whether a stored tensor is one that no model reads any more."""
    return any(form.search(name) and len(span.shape) == rank for form, rank in BUFFERS)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a checkpoint's config or index; CheckpointRefused if it is none."""
    try:
        content = strict_json(path.read_bytes(), str(path))
    except OSError as error:
        raise CheckpointRefused(
            f"{path} cannot be read ({error.strerror}); expected a checkpoint's folder"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointRefused(f"{path}: not a JSON object; save the checkpoint again")
    return content


def _weight_files(folder: Path) -> list[Path]:
    """The files that a loader reads: those of the index, else the single one."""
    names = {WEIGHTS}
    if (folder / INDEX).is_file():
        weight_map = read_object(folder / INDEX).get("weight_map")
        names = set(weight_map.values()) if isinstance(weight_map, dict) else set()
    if not names or any(not isinstance(name, str) or "/" in name for name in names):
        raise CheckpointRefused(
            f"{folder / INDEX}: no map of tensors to files beside it; save the checkpoint again"
        )
    files = [folder / name for name in sorted(names)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise CheckpointRefused(
            f"{folder}: {missing[0]} is missing; expected the safetensors weights of the model"
        )
    return files


def lay_out(spans: Mapping[str, Span], folder: Path, *, fp32: bool) -> dict[str, Span]:
    """Create the weight files of `spans` in `folder`: headers written, tensors all zero.

    The parts of one tensor stand together and in order. `fp32` widens bf16 and fp16. Returns where
    each tensor is to be written.
    """
    placed: dict[str, Span] = {}
    files = dict.fromkeys(span.file for span in spans.values())
    for file in files:
        placed |= _create(
            folder / file,
            {
                name: _widen(span) if fp32 else span
                for name, span in spans.items()
                if span.file == file
            },
        )
    if list(files) != [WEIGHTS]:
        total = sum(span.nbytes for span in placed.values())
        index = {
            "metadata": {"total_size": total},
            "weight_map": {
                _file_tensor(name, span).name: span.file for name, span in sorted(placed.items())
            },
        }
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return placed


def _file_tensor(name: str, span: Span) -> FileTensor:
    return span.part_of or FileTensor(name, span.shape)


def _widen(span: Span) -> Span:
    if span.dtype not in {"BF16", "F16"}:
        return span
    return replace(span, dtype="F32", nbytes=4 * span.elements)


def _create(path: Path, spans: Mapping[str, Span]) -> dict[str, Span]:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, span in spans.items():
        begin, end, file_tensor = end, end + span.nbytes, _file_tensor(name, span)
        if file_tensor.name in header:
            begin = header[file_tensor.name]["data_offsets"][0]
        offsets = [begin, end]
        header[file_tensor.name] = {
            "dtype": span.dtype,
            "shape": file_tensor.shape,
            "data_offsets": offsets,
        }
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % LENGTH_BYTES)  # the format asks for aligned tensors
    origin = LENGTH_BYTES + len(raw)
    with path.open("xb") as file:
        file.write(len(raw).to_bytes(LENGTH_BYTES, "little") + raw)
        file.truncate(origin + end)
    placed: dict[str, Span] = {}
    for name, span in spans.items():
        placed[name] = replace(span, begin=origin)
        origin += span.nbytes
    return placed


class WeightFiles:
    """The open weight files of one folder, read and written by position, from any thread."""

    def __init__(self, folder: Path, descriptors: Mapping[str, int]) -> None:
        self._folder = folder
        self._descriptors = descriptors

    @classmethod
    @contextmanager
    def open_files(cls, folder: Path, spans: Mapping[str, Span], flags: int) -> Iterator[Self]:
        """Files of `spans` in `folder`, opened with os.O_RDONLY or os.O_WRONLY."""
        names = {span.file for span in spans.values()}
        descriptors: dict[str, int] = {}
        try:
            for name in names:
                descriptors[name] = os.open(folder / name, flags)
            yield cls(folder, descriptors)
        finally:
            for descriptor in descriptors.values():
                os.close(descriptor)

    def read(self, span: Span, offset: int, into: torch.Tensor) -> None:
        """Fill the contiguous tensor `into` with bytes of `span` from byte `offset` on."""
        view = into.view(-1).view(torch.uint8).numpy().data
        got = 0
        while got < len(view):  # one call reads at most 2 GiB
            start = span.begin + offset + got
            more = os.preadv(self._descriptors[span.file], [view[got:]], start)
            if not more:
                break
            got += more
        if got != len(view):
            raise CheckpointRefused(
                f"{self._folder / span.file} ends {len(view) - got} bytes short of what its header "
                "says; it changed while it was read: run again when it is whole"
            )

    def write(self, span: Span, offset: int, tensor: torch.Tensor) -> None:
        """Write the contiguous `tensor` over the bytes of `span` from byte `offset` on.

        The disk begins with it at once, or it would wait for the sync at the end to have work.
        """
        view = tensor.reshape(-1).view(torch.uint8).numpy().data
        done = 0
        while done < len(view):  # one call writes at most 2 GiB
            start = span.begin + offset + done
            done += os.pwrite(self._descriptors[span.file], view[done:], start)
        if done >= EARLY:  # Linux starts writing what it is told to drop; dirty pages stay
            begin = span.begin + offset
            os.posix_fadvise(self._descriptors[span.file], begin, done, os.POSIX_FADV_DONTNEED)
