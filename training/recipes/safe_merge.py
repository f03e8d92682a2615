"""Move back only the layers whose update left the directions in which the model was aligned.

SafeMERGE (https://arxiv.org/abs/2503.17239) on whole checkpoints: each linear layer's update is
compared with what alignment changed there, which takes the model that the baseline was before it
was aligned. Where the cosine is below `safe_merge.threshold`, the layer is averaged with the
baseline, as dense weights: sums of adapters by scaled factors add cross terms that nobody asked
for. `safe_merge.mode: project` keeps of such a layer what lies in the leading directions (Safe
LoRA, with an exact projector). A layer that alignment did not change says nothing and stays the
candidate's, as all that is no linear layer of a block does.
"""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.merging.averaging import check_ratio, write_average
from training.merging.layers import block_of
from training.merging.pairing import Pair, pair_of, pair_up, require_same_names
from training.merging.streaming import Move, move_of, read_alike, write_tensors
from training.merging.subspace import cosine, leading_directions, project_update
from training.progress import Report
from training.weights.output import atomic_checkpoint, refuse_existing

SAME = "this is the candidate itself"
Triples = Iterator[tuple[str, list[Tensor]]]


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Find the layers that strayed, report every cosine, and write the merge."""
    refuse_existing(plan.output)
    pair, candidate = pair_of(plan)
    unaligned = unaligned_of(plan)
    cosines = dict(layer_cosines(triples(plan, candidate, unaligned)))
    for name, similarity in cosines.items():
        report("layer", name=name, cosine=similarity)
    low = plan.safe_merge.threshold
    strayed = {
        name for name, similarity in cosines.items() if similarity is not None and similarity < low
    }
    if all(similarity is None for similarity in cosines.values()):
        report(
            "note", text=f"{unaligned} is the baseline in every layer, or the candidate is: {SAME}"
        )
    elif not strayed:
        report("note", text=f"no layer's cosine is below {low:g}: {SAME}")
    if plan.safe_merge.mode == "project":
        moved = write_projection(pair, plan, triples(plan, candidate, unaligned), strayed)
    else:
        weights = dict.fromkeys(pair.layout, 1.0) | dict.fromkeys(strayed, plan.candidate_weight)
        moved = write_average(pair, plan, candidate, weights, report)
    layers = {"layers": len(cosines), "merged_layers": len(strayed)}
    return {"final_loss": None, "effective_ratio": moved, **layers}


def unaligned_of(plan: Plan) -> Path:
    """The model before alignment, or one sentence that it is needed."""
    if plan.safe_merge.unaligned is None:
        raise InvalidPlan(
            "recipe safe_merge compares with what alignment changed, and for that needs the model "
            "from before it: name it as safe_merge.unaligned, or choose wise_ft or hma"
        )
    return plan.safe_merge.unaligned


def triples(plan: Plan, candidate: Path, unaligned: Path) -> Triples:
    """Every tensor of baseline, candidate and unaligned model, one name at a time."""
    tuned = pair_up(plan.baseline, candidate, plan.baseline)
    before = pair_up(plan.baseline, unaligned, plan.baseline)
    require_same_names((tuned, before))
    folders = (plan.baseline, candidate, unaligned)
    return read_alike(folders, (tuned.baseline, tuned.candidate, before.candidate))


def layer_cosines(tensors: Triples) -> Iterator[tuple[str, float | None]]:
    """The cosine of every linear layer's update with what alignment changed, by name."""
    for name, (baseline, candidate, unaligned) in tensors:
        if baseline.ndim == 2 and block_of(name) is not None:
            ours = baseline.float()
            yield name, cosine(ours - unaligned.float(), candidate.float() - ours)


def write_projection(
    pair: Pair, plan: Plan, tensors: Triples, strayed: Container[str]
) -> float | None:
    """Write the candidate with the strayed updates projected; returns the share of it all kept."""
    meant: list[float] = []
    moved: list[Move] = []

    def merged() -> Iterator[tuple[str, Tensor]]:
        for name, (baseline, candidate, unaligned) in tensors:
            if name not in strayed:
                yield name, candidate
                continue
            ours = baseline.float()
            update = candidate.float() - ours
            directions = leading_directions(ours - unaligned.float(), plan.safe_merge.energy)
            projection = project_update(directions, update)
            meant.append(projection.square().sum().item())
            stored = (ours + projection).to(torch.float32 if fp32 else baseline.dtype)
            moved.append(move_of(baseline.reshape(-1), candidate.reshape(-1), stored.reshape(-1)))
            yield name, stored

    fp32 = plan.store == "fp32"
    with atomic_checkpoint(plan) as folder:
        write_tensors(pair.layout, folder, merged(), fp32=fp32)
        total = sum(moved, Move())
        if not total.squared_distance:
            return None
        check_ratio(total, sum(meant) / total.squared_distance)
    return total.projection / total.squared_distance
