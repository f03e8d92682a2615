"""Weighted average of two checkpoints, streamed: theta = (1 - w) * baseline + w * candidate.

Wise-FT (Wortsman et al., https://arxiv.org/abs/2109.01903), where `candidate_weight` w is always
the weight of the candidate. Everything floating-point is averaged, in fp32 whatever the files
hold; integers and flags are copied. Two threads walk over pieces of a megabyte, so memory does not
grow with the model.

Rounding back to bf16 can undo an average: where the two models differ by less than bf16 resolves,
each weight snaps to one of the ends. So the move that is left after the cast is measured,
ratio = <m - b, c - b> / ||c - b||², and a merge whose ratio misses w by more than a tenth of it is
refused. NaN and infinity in either checkpoint show up in the same sums.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from holdfast.errors import CheckpointRefused, InvalidPlan
from training.shards import Span, WeightFiles, lay_out, read_object, read_spans

PIECE = 1 << 18  # elements; what a thread works on stays in its core's cache
SCRATCH = 5  # buffers of a piece: two as read, two and their average in fp32
THREADS = 2
RATIO_TOLERANCE = 0.10

HEAD = "lm_head.weight"
EMBEDDINGS = ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight")

# equal shapes with another of these are another model
MEANING = ("model_type", "num_attention_heads", "num_key_value_heads", "head_dim")


@dataclass(frozen=True, slots=True)
class Piece:
    """`count` elements of one tensor from element `first` on, in all three checkpoints."""

    baseline: Span
    candidate: Span
    merged: Span
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Pair:
    """What to average: tensors by name, the layout being the start checkpoint's."""

    baseline: Mapping[str, Span]
    candidate: Mapping[str, Span]
    layout: Mapping[str, Span]


def average(baseline: Tensor, candidate: Tensor, weight: float, *, out: Tensor) -> Tensor:
    """(1 - weight) * baseline + weight * candidate, into `out`, which is returned.

    All float32 (float64 for models that are), of one shape. The ends 0 and 1 give the respective
    input back bit by bit.
    """
    if weight in {0.0, 1.0}:
        return out.copy_(candidate if weight == 1.0 else baseline)
    return torch.lerp(baseline, candidate, weight, out=out)


def pair_up(baseline: Path, candidate: Path, start: Path) -> Pair:
    """Match the tensors of two checkpoints, or say in one sentence why they are not one model.

    `start` is the one of them whose files the output takes after. A head that is tied to the
    embedding may be stored in one of them only; it is then read where it is stored.
    """
    configs = [read_object(folder / "config.json") for folder in (baseline, candidate)]
    _check_configs(*configs)
    spans = {folder: read_spans(folder) for folder in {baseline, candidate}}
    layout = dict(spans[start])
    if all(config.get("tie_word_embeddings", False) for config in configs):
        for found in spans.values():
            _retie(found, stored=HEAD in layout)
    _check_match(spans[baseline], spans[candidate])
    return Pair(spans[baseline], spans[candidate], layout)


def _check_configs(baseline: Mapping[str, object], candidate: Mapping[str, object]) -> None:
    for config, who in ((baseline, "baseline"), (candidate, "candidate")):
        if "quantization_config" in config:
            raise CheckpointRefused(
                f"the {who} is quantised, and codes cannot be averaged; give its bf16 weights"
            )
    for key in MEANING:
        ours, theirs = baseline.get(key), candidate.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            raise CheckpointRefused(
                f"config.json: {key} is {ours} in the baseline and {theirs} in the candidate; "
                "only two checkpoints of one model can be averaged"
            )


def _retie(spans: dict[str, Span], *, stored: bool) -> None:
    embedding = next((spans[name] for name in EMBEDDINGS if name in spans), None)
    if not stored:
        spans.pop(HEAD, None)
    elif embedding is not None:
        spans.setdefault(HEAD, embedding)


def _check_match(baseline: Mapping[str, Span], candidate: Mapping[str, Span]) -> None:
    if odd := sorted(baseline.keys() ^ candidate.keys()):
        where = "baseline" if odd[0] in baseline else "candidate"
        raise CheckpointRefused(
            f"tensor {odd[0]!r} stands only in the {where} ({len(odd)} such); "
            "only two checkpoints of one model can be averaged"
        )
    for name, ours in baseline.items():
        theirs = candidate[name]
        if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            raise CheckpointRefused(
                f"tensor {name!r} is {ours.dtype} {list(ours.shape)} in the baseline but "
                f"{theirs.dtype} {list(theirs.shape)} in the candidate; "
                "save both in one dtype, from one model"
            )


def merge(
    pair: Pair, folders: tuple[Path, Path, Path], weight: float, *, fp32: bool
) -> float | None:
    """Write the average's weight files into the last of (baseline, candidate, output).

    Returns the effective ratio, None if the checkpoints do not differ at all. Raises
    CheckpointRefused on NaN or infinity, InvalidPlan if rounding swallows the average.
    """
    merged = lay_out(pair.layout, folders[2], fp32=fp32)
    pieces = [
        piece
        for name, span in merged.items()
        for piece in _cut(pair.baseline[name], pair.candidate[name], span)
    ]
    with ExitStack() as stack:
        files = [
            stack.enter_context(WeightFiles.opened(folder, spans, flags))
            for folder, spans, flags in zip(
                folders,
                (pair.baseline, pair.candidate, merged),
                (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY),
                strict=True,
            )
        ]
        pool = stack.enter_context(
            ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,))
        )
        work = [
            pool.submit(_merge_pieces, pieces[k::THREADS], files, weight) for k in range(THREADS)
        ]
        moved, apart = (sum(part) for part in zip(*(job.result() for job in work), strict=True))
    return _checked_ratio(moved, apart, weight)


def _cut(baseline: Span, candidate: Span, merged: Span) -> Iterator[Piece]:
    for first in range(0, merged.elements, PIECE):
        count = min(PIECE, merged.elements - first)
        yield Piece(baseline, candidate, merged, first, count)


def _merge_pieces(
    pieces: Sequence[Piece], files: Sequence[WeightFiles], weight: float
) -> tuple[float, float]:
    """Average and write some pieces; returns their <m - b, c - b> and ||c - b||²."""
    moved = apart = 0.0
    scratch = torch.empty(SCRATCH, 8 * PIECE, dtype=torch.uint8)  # 8 bytes: the widest element
    for piece in pieces:
        part = _merge_piece(piece, files, weight, scratch)
        moved += part[0]
        apart += part[1]
    return moved, apart


def _merge_piece(
    piece: Piece, files: Sequence[WeightFiles], weight: float, scratch: Tensor
) -> tuple[float, float]:
    """One piece, computed in the rows of `scratch` alone: allocating costs more than averaging."""
    width = piece.baseline.nbytes // piece.baseline.elements
    raw = scratch[:2, : piece.count * width]
    files[0].read(piece.baseline, piece.first * width, raw[0])
    files[1].read(piece.candidate, piece.first * width, raw[1])
    place = piece.merged.nbytes // piece.merged.elements * piece.first
    stored, kept = piece.baseline.floating, piece.merged.floating
    if stored is None or kept is None:
        files[2].write(piece.merged, place, raw[0] if weight == 0 else raw[1])
        return 0.0, 0.0
    exact = torch.float64 if stored == torch.float64 else torch.float32
    baseline, candidate, merged = (row.view(exact)[: piece.count] for row in scratch[2:])
    baseline.copy_(raw[0].view(stored))
    candidate.copy_(raw[1].view(stored))
    rounded = scratch[0].view(kept)[: piece.count]
    rounded.copy_(average(baseline, candidate, weight, out=merged))
    files[2].write(piece.merged, place, rounded)
    moved = merged.copy_(rounded).sub_(baseline)
    apart = candidate.sub_(baseline)
    return torch.dot(moved, apart).item(), torch.dot(apart, apart).item()


def _checked_ratio(moved: float, apart: float, weight: float) -> float | None:
    if not (isfinite(moved) and isfinite(apart)):
        raise CheckpointRefused(
            "a checkpoint holds NaN or infinite weights, which no average can mend; "
            "train it again, or average another one"
        )
    if apart == 0:
        return None
    ratio = moved / apart
    if abs(ratio - weight) > RATIO_TOLERANCE * weight:
        raise InvalidPlan(
            f"after rounding to the stored dtype the merge moves {ratio:.3f} of the way, not "
            f'{weight:g}: the checkpoints differ by less than it resolves; set "store": "fp32"'
        )
    return ratio
