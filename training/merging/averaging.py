"""Weighted averages of two checkpoints, theta = (1 - w) * baseline + w * candidate a tensor.

Wise-FT (Wortsman et al., https://arxiv.org/abs/2109.01903), where `candidate_weight` w is always
the weight of the candidate; with another w for every group of blocks it is HMA. Everything
floating-point is averaged, in fp32 whatever the files hold; integers and flags are copied.

Rounding to bf16 can undo an average: where the two models differ by less than bf16 resolves, each
weight snaps to one of the ends. Pieces to which that happens are rounded by chance instead. The
move that is left after the cast is measured, ratio = <m - b, c - b> / ||c - b||², and an average
whose ratio still misses w by more than a tenth of it is refused.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.merging.pairing import Pair
from training.merging.rounding import DROPPED_BITS, round_by_chance
from training.merging.streaming import Move, measure_move, merge
from training.progress import Report
from training.weights.output import atomic_checkpoint

RATIO_TOLERANCE = 0.10
SWALLOWED = 0.02  # a piece whose ratio misses w by more than this share is rounded by chance


def average(baseline: Tensor, candidate: Tensor, weight: float, out: Tensor) -> None:
    """(1 - weight) * baseline + weight * candidate, into `out`, all of one shape.

    Computed in fp32 at least and rounded once to the dtype of `out`, which torch's lerp does for
    half precision by itself. The ends 0 and 1 give the respective input back bit by bit; bytes of
    integers are the candidate's, but for the end 0.
    """
    if weight in {0.0, 1.0} or not out.is_floating_point():
        out.copy_(candidate if weight > 0 else baseline)
        return
    exact = torch.promote_types(baseline.dtype, out.dtype)
    if exact == out.dtype:
        torch.lerp(baseline.to(exact), candidate.to(exact), weight, out=out)
    else:
        out.copy_(torch.lerp(baseline, candidate, weight))


def write_average(
    pair: Pair, plan: Plan, candidate: Path, weights: Mapping[str, float], report: Report
) -> float | None:
    """Write `plan.output`, each tensor averaged with its own weight of the candidate.

    Returns the effective ratio of the whole, None if the checkpoints do not differ at all. Raises
    CheckpointRefused on NaN or infinity, InvalidPlan if rounding swallows the average.
    """
    dithered: set[str] = set()

    def blend(name: str, baseline: Tensor, candidate: Tensor, out: Tensor) -> None:
        weight = weights[name]
        average(baseline, candidate, weight, out)
        if out.dtype in DROPPED_BITS and is_swallowed(
            measure_move(baseline, candidate, out), weight
        ):
            dithered.add(name)
            exact = torch.lerp(baseline.float(), candidate.float(), weight)
            round_by_chance(exact, out, f"{plan.seed}:{name}")

    with atomic_checkpoint(plan) as folder:
        folders = (plan.baseline, candidate, folder)
        moves = merge(pair, folders, blend, fp32=plan.store == "fp32")
        for weight in sorted({weights[name] for name in moves}):
            alike = [move for name, move in moves.items() if weights[name] == weight]
            check_ratio(sum(alike, Move()), weight)
    if dithered:
        report(
            "note",
            text=f"{len(dithered)} of {len(moves)} tensors differ by less than their dtype "
            "resolves; there the average was rounded up or down by chance",
        )
    total = sum(moves.values(), Move())
    return total.projection / total.squared_distance if total.squared_distance else None


def is_swallowed(move: Move, weight: float) -> bool:
    """Whether rounding kept a tensor from moving by `weight` towards the candidate."""
    return (
        abs(move.projection - weight * move.squared_distance)
        > SWALLOWED * weight * move.squared_distance
    )


def check_ratio(move: Move, weight: float) -> None:
    """Raise InvalidPlan unless the merge moved by `weight` after rounding."""
    ratio = move.projection / move.squared_distance if move.squared_distance else weight
    if abs(ratio - weight) > RATIO_TOLERANCE * weight:
        raise InvalidPlan(
            f"after rounding to the stored dtype the merge moves {ratio:.3f} of the way, not "
            f'{weight:g}: the checkpoints differ by less than it resolves; set "store": "fp32"'
        )
