"""How far fine-tuning moved the weights, counted by size, without sorting or holding them.

A float's leading bits order positive floats as the floats themselves, so a histogram over them
gives any quantile to within a five-hundredth; changes of bf16 weights are rounded to a 256th. Of a
large tensor one run of elements in sixteen is read, staggered so that no row or column is always
passed over; the rest stays on the disk.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from training.merging.pairing import Pair
from training.merging.streaming import PIECE, THREADS, WIDEST, in_threads
from training.weights.shards import FLOATS, Span, WeightFiles

DROPPED_BITS = 14  # of a float's 32; what is left counts changes to within a five-hundredth
BINS = 1 << (31 - DROPPED_BITS)
LARGE = 1 << 19  # elements
RUN = 1 << 13  # elements that are read together, of a large tensor
STRIDE = 16  # one run in so many
STAGGER = 5  # by how many runs the next one is shifted within its sixteen


def change(baseline: Tensor, candidate: Tensor) -> Tensor:
    """How far each weight [N] moved, rounded to the wider dtype of both; of fp64, to fp32."""
    moved = torch.sub(candidate, baseline).abs_()
    return moved.float() if moved.dtype == torch.float64 else moved


def find_thresholds(
    pair: Pair, folders: tuple[Path, Path], keep: float, *, by_tensor: bool
) -> dict[str, float]:
    """The smallest change that is among the share `keep`, by name: of each tensor, or of all.

    folders: where the pair's baseline and candidate lie.
    """
    spans = (pair.baseline, pair.candidate)
    names = [name for name, span in pair.layout.items() if span.floating is not None]
    with ExitStack() as stack:
        files = [
            stack.enter_context(WeightFiles.open_files(folder, placed, os.O_RDONLY))
            for folder, placed in zip(folders, spans, strict=True)
        ]

        def count(thread: int) -> tuple[dict[str, float], Tensor]:
            scratch = torch.empty(2, WIDEST * PIECE, dtype=torch.uint8)
            alone: dict[str, float] = {}
            histogram = torch.zeros(BINS, dtype=torch.float64)
            for name in names[thread::THREADS]:
                counts = _counts([placed[name] for placed in spans], files, scratch)
                if by_tensor:
                    alone[name] = threshold(counts, keep)
                else:
                    looked = max(int(counts.sum()), 1)
                    histogram.add_(counts, alpha=spans[0][name].elements / looked)
            return alone, histogram

        counts_by_thread = in_threads(count)
    if by_tensor:
        return {name: smallest for alone, _ in counts_by_thread for name, smallest in alone.items()}
    histogram = torch.stack([part for _, part in counts_by_thread]).sum(0)
    return dict.fromkeys(names, threshold(histogram, keep))


def _counts(spans: Sequence[Span], files: Sequence[WeightFiles], scratch: Tensor) -> Tensor:
    """Histogram [BINS] of one tensor's changes by size, over the elements that are read."""
    widths = [span.nbytes // max(span.elements, 1) for span in spans]
    counts = torch.zeros(BINS, dtype=torch.int64)
    filled = 0
    for first, count in [*runs(spans[0].elements), (0, 0)]:  # the last one is the end
        if filled and (filled + count > PIECE or not count):
            ours, theirs = (
                side[: filled * width].view(FLOATS[span.dtype])
                for side, span, width in zip(scratch, spans, widths, strict=True)
            )
            counts += count_changes(change(ours, theirs))
            filled = 0
        for side, span, file, width in zip(scratch, spans, files, widths, strict=True):
            file.read(span, first * width, side[filled * width : (filled + count) * width])
        filled += count
    return counts


def runs(elements: int) -> Iterator[tuple[int, int]]:
    """Start and length of each run that is read: all, or one run in sixteen of a large tensor."""
    if elements <= LARGE:
        if elements:
            yield 0, elements
        return
    for block, first in enumerate(range(0, elements, STRIDE * RUN)):
        begin = first + STAGGER * block % STRIDE * RUN
        if begin < elements:
            yield begin, min(RUN, elements - begin)


def count_changes(changes: Tensor) -> Tensor:
    """Histogram [BINS] of changes [N] by size; equal changes fall into one bin."""
    return torch.bincount(changes.float().view(torch.int32) >> DROPPED_BITS, minlength=BINS)


def threshold(histogram: Tensor, keep: float) -> float:
    """The smallest change that is kept if the share `keep` is; a bin is kept as a unit."""
    at_least = histogram.flip(0).cumsum(0).flip(0)  # of each bin: how many lie in it or above
    enough = int((at_least >= keep * at_least[0]).sum()) - 1
    return float(torch.tensor(enough << DROPPED_BITS, dtype=torch.int32).view(torch.float32))
