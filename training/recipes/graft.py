"""Keep the candidate only where it moved most; everywhere else the baseline stands again.

What was learnt tends to sit in few large changes, and what was lost by the way in many small ones.
Named beside the averages in https://arxiv.org/abs/2309.06256. Knobs: `graft.keep`, the share of
the weights that stay the candidate's (0.1), and `graft.scope`: the largest changes of the whole
model, or of every tensor. Two passes: the first counts changes by size, one in seven in large
tensors, and finds the threshold; the second writes. Every weight is that of one of the two, so
nothing is rounded.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from holdfast.remediation import Plan
from training.merging import Move, merge, read_alike
from training.output import refuse_existing, whole_checkpoint
from training.pairing import Pair, pair_of
from training.progress import Report

DROPPED_BITS = 14  # of a float's 32; what is left counts changes to within a five-hundredth
BINS = 1 << (31 - DROPPED_BITS)
STRIDE = 7  # no divisor of a model's widths, so that every column is looked at
LARGE = 1 << 20  # elements


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Write the baseline with the candidate's largest changes."""
    refuse_existing(plan.output)
    pair, candidate = pair_of(plan)
    thresholds = find_thresholds(pair, plan, candidate)

    def blend(name: str, baseline: Tensor, candidate: Tensor, out: Tensor) -> None:
        if out.is_floating_point():
            kept = change(baseline, candidate) >= thresholds[name]
            out.copy_(torch.where(kept, candidate, baseline))
        else:
            out.copy_(candidate)

    with whole_checkpoint(plan) as folder:
        folders = (plan.baseline, candidate, folder)
        moves = merge(pair, folders, blend, fp32=plan.store == "fp32")
    total = sum(moves.values(), Move())
    if not total.apart:
        report("note", text="baseline and candidate have the same weights; so has the graft")
        return {"final_loss": None, "effective_ratio": None}
    return {"final_loss": None, "effective_ratio": total.kept / total.apart}


def change(baseline: Tensor, candidate: Tensor) -> Tensor:
    """How far each weight moved, in fp32."""
    exact = torch.promote_types(baseline.dtype, torch.float32)
    return candidate.to(exact).sub_(baseline.to(exact)).abs_().float()


def find_thresholds(pair: Pair, plan: Plan, candidate: Path) -> Mapping[str, float]:
    """The smallest change that is kept, by tensor."""
    found: dict[str, float] = {}
    whole = torch.zeros(BINS, dtype=torch.int64)
    spans = (pair.baseline, pair.candidate)
    for name, (ours, theirs) in read_alike((plan.baseline, candidate), spans):
        if not ours.is_floating_point():
            continue
        stride = STRIDE if ours.numel() > LARGE else 1
        changes = change(ours.reshape(-1)[::stride], theirs.reshape(-1)[::stride])
        histogram = stride * count_changes(changes)
        if plan.graft.scope == "tensor":
            found[name] = threshold(histogram, plan.graft.keep)
        whole += histogram
    if plan.graft.scope == "tensor":
        return found
    return dict.fromkeys(pair.layout, threshold(whole, plan.graft.keep))


def count_changes(changes: Tensor) -> Tensor:
    """[BINS] counts; a float's leading bits order positive floats as the floats themselves."""
    return torch.bincount(changes.view(torch.int32) >> DROPPED_BITS, minlength=BINS)


def threshold(histogram: Tensor, keep: float) -> float:
    """The change from which on at least the share `keep` is kept, ties in one bin all or none."""
    at_least = histogram.flip(0).cumsum(0).flip(0)  # of each bin: how many lie in it or above
    enough = int((at_least >= keep * at_least[0]).sum()) - 1
    return float(torch.tensor(enough << DROPPED_BITS, dtype=torch.int32).view(torch.float32))
