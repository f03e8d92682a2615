"""Two checkpoints merged into a third, streamed: pieces of two megabytes, two threads.

What is done with a piece is the caller's `blend`; memory does not grow with the model. On the way
every weight that is read is looked at for NaN and infinity, and how far the result moved from
baseline to candidate is measured, because rounding back to bf16 can undo a merge. One weight in
eight is enough for that; where those do not differ, all are.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from holdfast.errors import CheckpointRefused
from training.merging.pairing import Pair
from training.weights.shards import Span, WeightFiles, lay_out

T = TypeVar("T")

PIECE = 1 << 20  # elements; with smaller ones the two threads wait for the interpreter's lock
WIDEST = 8  # bytes of an element
THREADS = 2
MEASURED = 8  # one weight in so many
MEASURED_LEAST = 1 << 12


class Blend(Protocol):
    """A function that merges one piece of a tensor."""

    def __call__(self, name: str, baseline: Tensor, candidate: Tensor, out: Tensor) -> None:
        """Fill `out` from the two, [N] each, both of the wider of their dtypes.

        Indices and flags come as bytes, which are not floating-point and can only be copied.
        """


@dataclass(frozen=True, slots=True)
class Move:
    """How far a merged tensor m moved: <m - b, c - b> and ||c - b||²."""

    projection: float = 0.0
    squared_distance: float = 0.0

    def __add__(self, other: "Move") -> "Move":
        return Move(
            self.projection + other.projection, self.squared_distance + other.squared_distance
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """`count` elements of one tensor from element `first` on, in all three checkpoints."""

    name: str
    baseline: Span
    candidate: Span
    merged: Span
    first: int
    count: int


def merge(
    pair: Pair, folders: tuple[Path, Path, Path], blend: Blend, *, fp32: bool
) -> dict[str, Move]:
    """Write the blend's weight files into the last of (baseline, candidate, output).

    Returns how far each tensor of weights moved. Raises CheckpointRefused on NaN or infinity in
    either checkpoint.
    """
    merged = lay_out(pair.layout, folders[2], fp32=fp32)
    spans = (pair.baseline, pair.candidate, merged)
    pieces = [piece for name in merged for piece in _cut(name, spans)]
    flags = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
    with ExitStack() as stack:
        files = [
            stack.enter_context(WeightFiles.open_files(*opened))
            for opened in zip(folders, spans, flags, strict=True)
        ]
        moves = in_threads(lambda k: _merge_pieces(pieces[k::THREADS], files, blend))
    return {
        name: sum((part[name] for part in moves if name in part), Move())
        for name, span in merged.items()
        if span.floating is not None
    }


def in_threads(work: Callable[[int], T]) -> list[T]:
    """Call `work` with each thread's number, one core for each, and return the results."""
    with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, range(THREADS)))


def _cut(name: str, spans: Sequence[Mapping[str, Span]]) -> Iterator[Piece]:
    baseline, candidate, merged = (side[name] for side in spans)
    for first in range(0, merged.elements, PIECE):
        count = min(PIECE, merged.elements - first)
        yield Piece(name, baseline, candidate, merged, first, count)


def _merge_pieces(
    pieces: Sequence[Piece], files: Sequence[WeightFiles], blend: Blend
) -> dict[str, Move]:
    moves: dict[str, Move] = {}
    # allocating for every piece would cost more than the arithmetic
    scratch = torch.empty(3, WIDEST * PIECE, dtype=torch.uint8)
    for piece in pieces:
        move = _merge_piece(piece, files, blend, scratch)
        moves[piece.name] = moves.get(piece.name, Move()) + move
    return moves


def _merge_piece(piece: Piece, files: Sequence[WeightFiles], blend: Blend, scratch: Tensor) -> Move:
    baseline, candidate = (
        _read(file, span, piece, raw)
        for file, span, raw in zip(files, (piece.baseline, piece.candidate), scratch, strict=False)
    )
    place = piece.merged.nbytes // piece.merged.elements * piece.first
    dtype = piece.merged.floating
    if dtype is None:
        blend(piece.name, baseline, candidate, scratch[2][: len(baseline)])
        files[2].write(piece.merged, place, scratch[2][: len(baseline)])
        return Move()
    wider = torch.promote_types(baseline.dtype, candidate.dtype)
    baseline, candidate = baseline.to(wider), candidate.to(wider)
    merged = scratch[2].view(dtype)[: piece.count]
    refuse_nonfinite(piece.name, baseline, "baseline")
    refuse_nonfinite(piece.name, candidate, "candidate")
    blend(piece.name, baseline, candidate, merged)
    files[2].write(piece.merged, place, merged)
    return measure_move(baseline, candidate, merged)


def _read(file: WeightFiles, span: Span, piece: Piece, raw: Tensor) -> Tensor:
    """One side's elements of a piece, in the bytes of `raw`; indices and flags stay bytes."""
    width = span.nbytes // span.elements
    read = raw[: piece.count * width]
    file.read(span, piece.first * width, read)
    return read if span.floating is None else read.view(span.floating)


def write_tensors(
    layout: Mapping[str, Span], folder: Path, tensors: Iterable[tuple[str, Tensor]], *, fp32: bool
) -> None:
    """Write the weight files of `layout`, each tensor rounded once to its stored dtype."""
    placed = lay_out(layout, folder, fp32=fp32)
    with WeightFiles.open_files(folder, placed, os.O_WRONLY) as files:
        for name, tensor in tensors:
            if name in placed:
                dtype = placed[name].floating
                files.write(
                    placed[name], 0, (tensor if dtype is None else tensor.to(dtype)).contiguous()
                )


def read_alike(
    folders: Sequence[Path], spans: Sequence[Mapping[str, Span]]
) -> Iterator[tuple[str, list[Tensor]]]:
    """Every tensor by name, as each of the checkpoints stores it; one name at a time.

    Indices and flags come as bytes. Refuses NaN and infinity as `merge` does.
    """
    with ExitStack() as stack:
        files = [
            stack.enter_context(WeightFiles.open_files(folder, placed, os.O_RDONLY))
            for folder, placed in zip(folders, spans, strict=True)
        ]
        for name in spans[0]:
            alike = [_empty(placed[name]) for placed in spans]
            for opened, placed, tensor, folder in zip(files, spans, alike, folders, strict=True):
                opened.read(placed[name], 0, tensor)
                if tensor.is_floating_point():
                    refuse_nonfinite(name, tensor, f"checkpoint {folder.name}")
            yield name, alike


def _empty(span: Span) -> Tensor:
    if span.floating is None:
        return torch.empty(span.nbytes, dtype=torch.uint8)
    return torch.empty(span.shape, dtype=span.floating)


def refuse_nonfinite(name: str, weights: Tensor, who: str) -> None:
    """Raise CheckpointRefused if any of the weights is NaN or infinite."""
    # a sum shows both, but may overflow on its own
    if not isfinite(weights.sum().item()) and not torch.isfinite(weights).all():
        raise CheckpointRefused(
            f"the {who} holds NaN or infinite weights in {name!r}, which no merge can mend; "
            "train it again, or merge another one"
        )


def measure_move(baseline: Tensor, candidate: Tensor, merged: Tensor) -> Move:
    """How far a piece moved, estimated from its first eighth if that differs at all."""
    count = max(len(merged) // MEASURED, min(len(merged), MEASURED_LEAST))
    move = move_of(baseline[:count], candidate[:count], merged[:count])
    if move.squared_distance == 0 and count < len(merged):
        return move_of(baseline, candidate, merged)
    scale = len(merged) / count
    return Move(scale * move.projection, scale * move.squared_distance)


def move_of(baseline: Tensor, candidate: Tensor, merged: Tensor) -> Move:
    """How far `merged` moved from baseline to candidate; all of one shape."""
    exact = torch.promote_types(merged.dtype, torch.float32)
    ours = baseline.to(exact)
    difference = candidate.to(exact, copy=True).sub_(ours)
    moved = merged.to(exact).sub(ours)
    return Move(torch.dot(moved, difference).item(), torch.dot(difference, difference).item())
