"""The header of a safetensors file, read without the library and believed in nothing.

A header is the only part of a weight file that a loader trusts before it maps memory, so it is
parsed here first: lengths in range, every dtype known, every span as long as its shape says, the
spans side by side with neither overlap nor gap, and the file ending where the last one does.
Format: https://huggingface.co/docs/safetensors (8 bytes of little-endian length, JSON, tensors).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

from holdfast.errors import CheckpointRefused

MAX_HEADER_BYTES = 100_000_000  # the library's own bound
LENGTH_BYTES = 8

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
    raw = file.read(length)
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointRefused(
            f"{place}: its safetensors header is not JSON ({error}); save the weights again"
        ) from error
    if not isinstance(header, dict):
        raise CheckpointRefused(f"{place}: its safetensors header is not a JSON object")
    header.pop("__metadata__", None)
    spans = {name: _span(entry, f"{place}: tensor {name!r}") for name, entry in header.items()}
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


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for key, entry in pairs:
        if key in unique:
            raise ValueError(f"key {key!r} stands twice")
        unique[key] = entry
    return unique


def _is_size(number: object) -> bool:
    return type(number) is int and number >= 0


def _span(entry: Any, place: str) -> TensorSpan:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointRefused(f"{place}: expected exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise CheckpointRefused(f"{place}: dtype {dtype!r} is not one of safetensors' own")
    if not isinstance(shape, list) or not all(map(_is_size, shape)):
        raise CheckpointRefused(f"{place}: shape {shape!r} is not a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise CheckpointRefused(f"{place}: data_offsets {offsets!r} are not two byte positions")
    begin, end = offsets
    bits = prod(shape) * DTYPE_BITS[dtype]
    if (end - begin) * 8 != bits:
        raise CheckpointRefused(
            f"{place}: spans {end - begin} bytes, but shape {shape} of {dtype} takes {bits / 8:g}"
        )
    return TensorSpan(dtype, tuple(shape), begin, end)


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
