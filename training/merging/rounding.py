"""Rounding by chance: what is finer than the stored dtype is kept on average.

A short fine-tuning moves most weights by one step of bf16, and rounding an average to the nearest
then gives back one of the two ends: of a share of .8 all of it, of .3 nothing. Rounded up with the
chance at which the value lies towards the upper neighbour, each weight is off by at most one step
and a tensor is where it should be (Croci et al. 2022, https://doi.org/10.1098/rsos.211631).
"""

import hashlib

import torch
from torch import Tensor

DROPPED_BITS = {torch.bfloat16: 16, torch.float16: 13}  # of an fp32 mantissa


def round_by_chance(exact: Tensor, out: Tensor, seed: str) -> None:
    """Round `exact` [N] (fp32, overwritten) into `out` [N] (bf16 or fp16), the same for one `seed`.

    What `out` can hold exactly is not moved. Below 6e-5, where fp16 is coarser, it rounds to the
    nearest.
    """
    dropped = DROPPED_BITS[out.dtype]
    drawn = torch.Generator().manual_seed(
        int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "little", signed=True)
    )
    noise = torch.empty(len(exact), dtype=torch.int32).random_(0, 1 << dropped, generator=drawn)
    # sign and magnitude: more bits are further from zero, whatever the sign
    bits = exact.view(torch.int32).add_(noise).bitwise_and_(-(1 << dropped))
    out.copy_(bits.view(torch.float32))
