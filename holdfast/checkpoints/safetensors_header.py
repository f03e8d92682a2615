"""The header of a safetensors file, read without the library and believed in nothing.

A header is the only part of a weight file that a loader trusts before it maps memory, so it is
parsed here first: lengths in range, every dtype known, every span as long as its shape says, the
spans side by side with neither overlap nor gap, and the file ending where the last one does.
Format: https://huggingface.co/docs/safetensors (8 bytes of little-endian length, JSON, tensors).

Nor may it cost more than a real one. A shard of the largest published models (DeepSeek-V3 of 671
billion parameters, Kimi K2 of a trillion in four bits) names up to 3,500 tensors in half a
megabyte; all of DeepSeek-V3 in a single file would be 92,000 tensors in 11 MB.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from holdfast.checkpoints.json_files import (
    abridged,
    depth_of,
    refuse_long_numbers,
    without_strings,
)
from holdfast.errors import CheckpointRefused

MAX_HEADER_BYTES = 16_000_000
MAX_TENSORS = 100_000
MAX_KEYS = 4 * MAX_TENSORS + 1_000  # a tensor's name, dtype, shape and place; some of metadata
MAX_NAME = 500
MAX_RANK = 16
MAX_NUMBERS = 1 << 40  # in one tensor: more than all of a published model
MAX_DIGITS = 18  # what a file's size can have
DEPTH = 3  # header, tensor, shape
LENGTH_BYTES = 8
METADATA = "__metadata__"

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip

COMPUTED = frozenset({"F64", "F32", "F16", "BF16"})
"""Numbers to compute with; others are packed, or counts."""


@dataclass(frozen=True, slots=True)
class TensorSpan:
    """One tensor of a file: `begin` and `end` are bytes, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(file: BinaryIO, size: int, place: str) -> dict[str, TensorSpan]:
    """Tensors by name of an open safetensors file of `size` bytes, positioned at its start.

    Raises CheckpointRefused with one sentence about the first thing that does not hold.
    """
    length = _header_length(file.read(LENGTH_BYTES), size, place)
    header = _parse(file.read(length), f"{place}: its safetensors header")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointRefused(f"{place}: its {METADATA} are no texts by name; save it again")
    spans = {name: _span(entry, _tensor(name, place)) for name, entry in header.items()}
    _check_layout(spans, size - LENGTH_BYTES - length, place)
    return spans


def _header_length(raw: bytes, size: int, place: str) -> int:
    if len(raw) < LENGTH_BYTES:
        raise CheckpointRefused(
            f"{place}: {len(raw)} bytes, too short for a safetensors file; copy it again"
        )
    length = int.from_bytes(raw, "little")
    room = min(size - LENGTH_BYTES, MAX_HEADER_BYTES)
    if not 2 <= length <= room:
        raise CheckpointRefused(
            f"{place}: claims a header of {length} bytes where 2 to {room} are possible; "
            "the file is truncated or not safetensors: copy or save it again"
        )
    return length


def _parse(raw: bytes, place: str) -> dict[str, Any]:
    """The header as an object, counted before a parser makes objects of it."""
    bare = without_strings(raw)
    refuse_long_numbers(bare, MAX_DIGITS, place)
    tensors, keys = bare.count(b"{") - 1, bare.count(b":")
    if tensors > MAX_TENSORS + 1 or keys > MAX_KEYS or depth_of(bare) > DEPTH:
        raise CheckpointRefused(
            f"{place} has {max(tensors, 0)} entries and {keys} keys, or lists in lists; expected "
            f"at most {MAX_TENSORS} tensors, each with dtype, shape and data_offsets"
        )
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except ValueError as error:
        raise CheckpointRefused(f"{place} is not JSON ({error}); save the weights again") from error
    if not isinstance(header, dict):
        raise CheckpointRefused(f"{place} is not a JSON object")
    return header


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for key, entry in pairs:
        if key in unique:
            raise ValueError(f"key {abridged(key)} stands twice")
        unique[key] = entry
    return unique


def _tensor(name: str, place: str) -> str:
    if len(name) > MAX_NAME:
        raise CheckpointRefused(
            f"{place}: tensor {abridged(name)} has a name of {len(name)} characters, expected at "
            f"most {MAX_NAME}"
        )
    return f"{place}: tensor {name!r}"


def _is_size(number: object) -> bool:
    return type(number) is int and number >= 0


def _span(entry: Any, place: str) -> TensorSpan:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointRefused(f"{place}: expected exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise CheckpointRefused(f"{place}: dtype {abridged(dtype)} is not one of safetensors' own")
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(map(_is_size, shape)):
        raise CheckpointRefused(
            f"{place}: shape {abridged(shape)} is not a list of sizes, {MAX_RANK} at most"
        )
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise CheckpointRefused(
            f"{place}: data_offsets {abridged(offsets)} are not two byte positions"
        )
    begin, end = offsets
    bits = _numbers(shape, place) * DTYPE_BITS[dtype]
    if (end - begin) * 8 != bits:
        raise CheckpointRefused(
            f"{place}: spans {end - begin} bytes, but shape {shape} of {dtype} takes {bits / 8:g}"
        )
    return TensorSpan(dtype, tuple(shape), begin, end)


def _numbers(shape: list[int], place: str) -> int:
    """How many numbers a shape has; an empty one is held to the same bound in what is not empty."""
    number = 1
    for size in shape:
        number *= max(size, 1)
        if number > MAX_NUMBERS:
            raise CheckpointRefused(
                f"{place}: shape {abridged(shape)} is of more than {MAX_NUMBERS} numbers, more "
                "than any model has"
            )
    return 0 if 0 in shape else number


def _check_layout(spans: dict[str, TensorSpan], data_bytes: int, place: str) -> None:
    position = 0
    for name, span in sorted(spans.items(), key=lambda item: (item[1].begin, item[1].end)):
        if span.begin != position:
            what = "overlaps the tensor before it" if span.begin < position else "leaves a gap"
            raise CheckpointRefused(
                f"{place}: tensor {name!r} begins at byte {span.begin} and {what}, "
                f"expected {position}; save the weights again"
            )
        position = span.end
    if position != data_bytes:
        raise CheckpointRefused(
            f"{place}: its tensors take {position} bytes, but {data_bytes} follow the header; "
            "the file is truncated or has something appended: copy it again"
        )
