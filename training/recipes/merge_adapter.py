"""Add an adapter to the weights of its base: a whole checkpoint, as every engine loads it.

Every adapted weight becomes W + scale * B A (https://arxiv.org/abs/2106.09685), summed in fp32 and
rounded once to the stored dtype; all else is the base's, byte for byte. Knobs: `store`. Which
adapters are such a sum, and which are refused, `holdfast.adapter` says. Rounding can swallow a
small adapter, so what is left of it after the cast is measured, and a tenth less is refused.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from holdfast.adapter import ADAPTER_WEIGHTS, PlainLora, read_lora
from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.remediation import Plan
from training.averaging import RATIO_TOLERANCE
from training.merging import Move, move_of, read_alike, refuse_nonfinite, write_tensors
from training.output import refuse_existing, whole_checkpoint
from training.progress import Report
from training.shards import Span, read_object, read_spans


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Write the sum; the effective ratio is how much of the adapter is left after rounding."""
    refuse_existing(plan.output)
    adapter = adapter_of(plan)
    if "quantization_config" in read_object(plan.baseline / "config.json"):
        raise CheckpointRefused(
            "the base is quantised, and nothing can be added to codes; give its bf16 weights"
        )
    lora, spans = read_lora(plan.baseline, adapter), read_spans(plan.baseline)
    moves: list[Move] = []
    with whole_checkpoint(plan) as folder:
        sums = summed(plan, spans, lora, load_file(adapter / ADAPTER_WEIGHTS), moves)
        write_tensors(spans, folder, sums, fp32=plan.store == "fp32")
        total = sum(moves, Move())
        ratio = total.kept / total.apart if total.apart else None
        check_left(ratio)
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


def summed(
    plan: Plan,
    spans: dict[str, Span],
    lora: PlainLora,
    factors: dict[str, Tensor],
    moves: list[Move],
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor by name, one at a time; how far each adapted one moved joins `moves`."""
    for name, (base,) in read_alike((plan.baseline,), (spans,)):
        if name not in lora.factors:
            yield name, base
            continue
        a, b = (factors[side].float() for side in lora.factors[name])
        exact = torch.promote_types(base.dtype, torch.float32)
        sum_ = base.to(exact) + lora.scale * (b @ a).to(exact)
        refuse_nonfinite(name, sum_, "sum of base and adapter")
        kept = torch.float32 if plan.store == "fp32" else base.dtype
        stored = sum_.to(kept, copy=True)  # measuring overwrites what it compares with
        moves.append(move_of(base.reshape(-1), sum_.reshape(-1), stored.reshape(-1)))
        yield name, stored


def check_left(ratio: float | None) -> None:
    """Raise InvalidPlan unless rounding has left what the adapter adds."""
    if ratio is not None and abs(ratio - 1) > RATIO_TOLERANCE:
        raise InvalidPlan(
            f"after rounding to the stored dtype {ratio:.3f} of the adapter's change is left, "
            'expected all of it: it is smaller than the dtype resolves; set "store": "fp32", or '
            "give the base in fp32"
        )
