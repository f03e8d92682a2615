"""The directions in which a model is safe, a few for every weight, and steps that leave them be.

The gradient of a refusal's loss is close to low-rank, and directions of the task's gradient often
point against it (https://arxiv.org/abs/2601.10141). With G = sum of s_i u_i v_i' the gradient of a
weight [..., out, in], an update D changes the refusals' loss by sum of s_i u_i' D v_i to first
order, so a positive u_i' D v_i is what conflicts. A vector counts as a matrix of one column.
"""

import torch
from torch import Tensor

OVERSAMPLED = 8  # columns beyond the rank, by which the randomised decomposition finds it
ITERATIONS = 4
NEGLIGIBLE = 1e-6  # of the largest singular value; below it a direction is rounding


def leading_parts(gradient: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """The `rank` largest u [..., out, r] and v [..., in, r] of a gradient; fewer where it has none.

    Randomised (https://arxiv.org/abs/0909.4061), and the same for the same seed; torch's own
    generator is left as it was. Directions without a share in the gradient are columns of zeros.
    """
    matrix = as_matrix(gradient)
    columns = min(rank + OVERSAMPLED, *matrix.shape[-2:])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        left, values, right = torch.svd_lowrank(matrix, q=columns, niter=ITERATIONS)
    left, values, right = left[..., :rank], values[..., :rank], right[..., :rank]
    counts = values > NEGLIGIBLE * values[..., :1]
    return left * counts[..., None, :], right * counts[..., None, :]


def without_conflict(update: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The update less its parts that make the refusals less likely; it has the same shape.

    left: [..., out, r], right: [..., in, r], orthonormal columns or zeros. Afterwards no u_i' D v_i
    is positive, so to first order the refusals' loss does not rise along any of the directions.
    """
    matrix = as_matrix(update)
    rises = (left * (matrix @ right)).sum(-2).clamp(min=0)
    return (matrix - (left * rises[..., None, :]) @ right.mT).view_as(update)


def without_inputs(update: Tensor, directions: Tensor) -> Tensor:
    """The update [out, in] less what it does to inputs along orthonormal `directions` [in, r]."""
    return update - (update @ directions) @ directions.T


def as_matrix(tensor: Tensor) -> Tensor:
    """A vector as a matrix of one column; everything else as it is."""
    return tensor if tensor.ndim > 1 else tensor[:, None]
