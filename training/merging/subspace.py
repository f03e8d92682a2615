"""How much of a layer's update lies in the directions in which the model was aligned.

V is what alignment changed in a layer, aligned minus unaligned, and D what fine-tuning changed
after it, both [out, in]. Safe LoRA (https://arxiv.org/abs/2405.16833) compares D with C D, where
C = V V' / ||V||; C is no projection and shrinks what it is applied to by any factor, so it serves
as a cosine here, whose scale drops out, and never as a map. The map is the exact projector onto
the leading left singular vectors of V.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity


def cosine(alignment: Tensor, update: Tensor) -> float | None:
    """The cosine of C D and D, in [0, 1]; None where either is all zero. Both [out, in], fp32."""
    if not (alignment.any() and update.any()):
        return None
    mapped: Tensor = torch.linalg.multi_dot([alignment, alignment.T, update])
    return cosine_similarity(mapped.reshape(-1), update.reshape(-1), dim=0).item()


def leading_directions(alignment: Tensor, energy: float) -> Tensor:
    """[out, r], orthonormal: as few left singular vectors as hold the share `energy` of ||V||².

    Never more than its rank: what rounding leaves in the other directions differs by machine.
    """
    vectors, values, _ = torch.linalg.svd(alignment, full_matrices=False)
    squares = values.double().square()  # in fp32 the sum stops growing before the last of them
    held = squares.cumsum(0) / squares.sum()
    noise = values[0] * max(alignment.shape) * torch.finfo(alignment.dtype).eps
    rank = min(int((held < energy).sum()) + 1, int((values > noise).sum()))
    leading: Tensor = vectors[:, : max(rank, 1)]
    return leading


def project_update(directions: Tensor, update: Tensor) -> Tensor:
    """The part of the update that lies in the directions: U U' D."""
    return directions @ (directions.T @ update)
