"""Penalties on a policy that leaves its reference: in weight space, and token by token.

L1 and L2-SP (Li et al. 2018, https://arxiv.org/abs/1802.01483) pull every weight towards where it
was; EWC (Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796) the more, the more the
reference's own answers hang on it. AdamW's weight decay is none of them: it pulls towards zero.
The constrained loss of Qi et al. 2024, https://arxiv.org/abs/2406.05946, holds on to the first
tokens of an answer by learning them no further than the reference believed in them.
"""

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.repairs.knobs import Constrained


def l2_sp(weight: Tensor, reference: Tensor, strength: float) -> Tensor:
    """Half of strength times the sum of squared differences; any shape, to a scalar."""
    return 0.5 * strength * (weight - reference).square().sum()


def l1_sp(weight: Tensor, reference: Tensor, strength: float) -> Tensor:
    """Strength times the sum of absolute differences; its gradient at the reference is 0."""
    return strength * (weight - reference).abs().sum()


def ewc(weight: Tensor, reference: Tensor, fisher: Tensor, strength: float) -> Tensor:
    """Half of strength times the sum of squared differences, each times its Fisher entry."""
    return 0.5 * strength * (fisher * (weight - reference).square()).sum()


def constrained_sft(policy: Tensor, reference: Tensor, betas: Tensor) -> Tensor:
    """-(2 / beta) log sigmoid(beta (policy - reference)) of each token.

    policy, reference: [N] log-probabilities of the tokens, in nats; betas: [N], positive. The
    gradient is that of -policy times 2 sigmoid(-beta (policy - reference)), which is 1 at the
    reference: where beta is small this is plain SFT, where it is large it stops once the token is
    as likely as the reference made it.
    """
    return -2.0 / betas * functional.logsigmoid(betas * (policy.float() - reference.float()))


def betas_of(lengths: list[int], knobs: Constrained) -> Tensor:
    """Beta [N] of each completion token by its place in its answer."""
    longest = max(lengths)
    schedule = torch.full((longest,), knobs.later)
    schedule[: knobs.early_tokens] = knobs.early
    schedule[:1] = knobs.first
    return torch.cat([schedule[:length] for length in lengths])
