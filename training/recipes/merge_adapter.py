"""Add an adapter to the weights of its base: a whole checkpoint, as every engine loads it.

Every adapted weight becomes W + scale * B A (https://arxiv.org/abs/2106.09685), summed in fp32 and
rounded once to the stored dtype; all else is the base's, byte for byte. Knobs: `store`. Which
adapters are such a sum, and which are refused, `holdfast.checkpoints.adapter` says. Rounding can
swallow a small adapter: a weight to which that happens is rounded by chance, as in an average, and
if what is left of the whole after the cast is off by more than a tenth, the merge is refused.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from holdfast.checkpoints.adapter import PlainLora, read_lora
from holdfast.checkpoints.model_files import ADAPTER_WEIGHTS
from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.repairs.plan import Plan
from training.merging.averaging import RATIO_TOLERANCE, is_swallowed
from training.merging.rounding import DROPPED_BITS, round_by_chance
from training.merging.streaming import Move, move_of, read_alike, refuse_nonfinite, write_tensors
from training.progress import Report
from training.weights.output import atomic_checkpoint, refuse_existing
from training.weights.shards import read_object, read_spans


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Write the sum; the effective ratio is how much of the adapter is left after rounding."""
    refuse_existing(plan.output)
    adapter = adapter_of(plan)
    if "quantization_config" in read_object(plan.baseline / "config.json"):
        raise CheckpointRefused(
            "the base is quantised, and nothing can be added to codes; give its bf16 weights"
        )
    with atomic_checkpoint(plan) as folder:
        moves, by_chance = write_sums(plan, adapter, folder)
        ratio = moves.projection / moves.squared_distance if moves.squared_distance else None
        check_effective_ratio(ratio)
    if by_chance:
        report(
            "note",
            text=f"{by_chance} weights are changed by less than their dtype resolves; there the "
            "sum was rounded up or down by chance",
        )
    if ratio is None:
        report("note", text="the adapter adds nothing to any weight; this is its base")
    return {"final_loss": None, "effective_ratio": ratio}


def adapter_of(plan: Plan) -> Path:
    """The adapter's folder, or one sentence that it is needed."""
    if plan.adapter is None:
        raise InvalidPlan(
            "recipe merge_adapter adds an adapter to `baseline`, but the plan names no `adapter`"
        )
    return plan.adapter


def write_sums(plan: Plan, adapter: Path, folder: Path) -> tuple[Move, int]:
    """Write the weight files into `folder`, one tensor in memory at a time.

    Returns how far the adapted weights moved, and how many of them were rounded by chance.
    """
    lora, spans = read_lora(plan.baseline, adapter), read_spans(plan.baseline)
    factors = load_file(adapter / ADAPTER_WEIGHTS)
    moves: list[Move] = []
    by_chance: list[str] = []

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, (base,) in read_alike((plan.baseline,), (spans,)):
            if name not in lora.factors:
                yield name, base
                continue
            exact = add_adapter(name, base, lora, factors)
            stored = exact.to(torch.float32 if plan.store == "fp32" else base.dtype, copy=True)
            if stored.dtype in DROPPED_BITS and is_swallowed(sum_move(base, exact, stored), 1.0):
                by_chance.append(name)
                round_by_chance(exact.reshape(-1).clone(), stored.view(-1), f"{plan.seed}:{name}")
            moves.append(sum_move(base, exact, stored))
            yield name, stored

    write_tensors(spans, folder, tensors(), fp32=plan.store == "fp32")
    return sum(moves, Move()), len(by_chance)


def add_adapter(name: str, base: Tensor, lora: PlainLora, factors: Mapping[str, Tensor]) -> Tensor:
    """W + scale * B A [out, in] in fp32, or in fp64 for a base that is; refused if not finite."""
    a, b = (factors[side].float() for side in lora.factors[name])
    exact = torch.promote_types(base.dtype, torch.float32)
    summed = base.to(exact) + lora.scale * (b @ a).to(exact)
    refuse_nonfinite(name, summed, "sum of base and adapter")
    return summed


def sum_move(base: Tensor, exact: Tensor, stored: Tensor) -> Move:
    """How far the stored weight moved from the base to the exact sum."""
    return move_of(base.reshape(-1), exact.reshape(-1), stored.reshape(-1))


def check_effective_ratio(ratio: float | None) -> None:
    """Raise InvalidPlan unless rounding has left what the adapter adds."""
    if ratio is not None and abs(ratio - 1) > RATIO_TOLERANCE:
        raise InvalidPlan(
            f"after rounding to the stored dtype {ratio:.3f} of the adapter's change is left, "
            'expected all of it: it is smaller than the dtype resolves; set "store": "fp32", or '
            "give the base in fp32"
        )
