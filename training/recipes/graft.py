"""Keep the candidate only where it moved most; everywhere else the baseline stands again.

What was learnt tends to sit in few large changes, and what was lost by the way in many small ones.
Named beside the averages in https://arxiv.org/abs/2309.06256. Knobs: `graft.keep`, the share of
the weights that stay the candidate's (0.1), and `graft.scope`: the largest changes of the whole
model, or of every tensor. Two passes: the first counts changes by size and finds the threshold
(training/merging/changes.py); the second writes. Every weight is that of one of the two, so nothing
is rounded.
"""

import torch
from torch import Tensor

from holdfast.repairs.plan import Plan
from training.merging.changes import change, find_thresholds
from training.merging.pairing import pair_of
from training.merging.streaming import Move, merge
from training.progress import Report
from training.weights.output import atomic_checkpoint, refuse_existing

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes of a weight
BLOCK = 1 << 17  # elements whose intermediate results stay in a core's cache


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Write the baseline with the candidate's largest changes."""
    refuse_existing(plan.output)
    pair, candidate = pair_of(plan)
    by_tensor = plan.graft.scope == "tensor"
    inputs = (plan.baseline, candidate)
    thresholds = find_thresholds(pair, inputs, plan.graft.keep, by_tensor=by_tensor)

    def blend(name: str, baseline: Tensor, candidate: Tensor, out: Tensor) -> None:
        if not out.is_floating_point():
            out.copy_(candidate)
            return
        blocks = (side.split(BLOCK) for side in (baseline, candidate, out))
        for ours, theirs, merged in zip(*blocks, strict=True):
            keep_changes(ours, theirs, thresholds[name], merged)

    with atomic_checkpoint(plan) as folder:
        moves = merge(pair, (*inputs, folder), blend, fp32=plan.store == "fp32")
    total = sum(moves.values(), Move())
    if not total.squared_distance:
        report("note", text="baseline and candidate have the same weights; so has the graft")
        return {"final_loss": None, "effective_ratio": None}
    return {"final_loss": None, "effective_ratio": total.projection / total.squared_distance}


def keep_changes(ours: Tensor, theirs: Tensor, least: float, out: Tensor) -> None:
    """Fill `out` with the weights [N] of `theirs` that moved by `least` or more, else with `ours`.

    The bits are added up, since torch.where takes a branch for every weight.
    """
    bits = BITS[ours.element_size()]
    is_large = torch.empty(len(ours), dtype=bits)
    torch.ge(change(ours, theirs), least, out=is_large)
    our_bits, their_bits = ours.view(bits), theirs.view(bits)
    if out.dtype == ours.dtype:
        torch.sub(their_bits, our_bits, out=out.view(bits)).mul_(is_large).add_(our_bits)
    else:
        out.copy_(is_large.mul_(their_bits - our_bits).add_(our_bits).view(ours.dtype))
