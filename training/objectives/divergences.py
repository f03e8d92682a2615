"""How far a policy has moved from its reference, position by position, over the whole vocabulary.

Exact sums, no sampling: on texts that are given they cost nothing beyond the logits and have no
variance. Everything is computed in fp32 from logits of any dtype, a chunk of positions at a time;
what a chunk needs in between is computed again on the way back, so memory beyond the logits and
their gradient does not grow with the number of positions.

Forward KL(reference || policy) covers all that the reference would say; its gradient with respect
to the policy's logits is p_policy - p_reference. Reverse KL is the one that PPO penalises.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from holdfast.repairs.knobs import Divergence

CHUNK_BYTES = 1 << 26  # of fp32 logits that are worked on at a time
FIRST_TOKENS = 5  # where refusals live, https://arxiv.org/abs/2406.05946


def forward_kl(policy: Tensor, reference: Tensor) -> Tensor:
    """KL(reference || policy) in nats of each position: logits [N, V] of both, to [N]."""
    return _by_chunks(_forward_kl, policy, reference)


def reverse_kl(policy: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) in nats of each position: logits [N, V] of both, to [N]."""
    return _by_chunks(_reverse_kl, policy, reference)


def logit_mse(policy: Tensor, reference: Tensor) -> Tensor:
    """Mean over the vocabulary of the squared difference of logits [N, V], to [N].

    As in DER, https://arxiv.org/abs/2004.07211: a constant added to all logits counts as well.
    """
    return _by_chunks(_logit_mse, policy, reference)


DIVERGENCES: dict[Divergence, Callable[[Tensor, Tensor], Tensor]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
}


def _forward_kl(policy: Tensor, reference: Tensor) -> Tensor:
    ours, theirs = _log_softmax(policy), _log_softmax(reference)
    return functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)


def _reverse_kl(policy: Tensor, reference: Tensor) -> Tensor:
    return _forward_kl(reference, policy)


def _logit_mse(policy: Tensor, reference: Tensor) -> Tensor:
    return (policy.float() - reference.float()).square().mean(-1)


def _log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities in fp32; of log-probabilities, these themselves."""
    return functional.log_softmax(logits.float(), dim=-1)


def _by_chunks(
    divergence: Callable[[Tensor, Tensor], Tensor], policy: Tensor, reference: Tensor
) -> Tensor:
    positions = max(1, CHUNK_BYTES // (4 * policy.shape[-1]))
    chunks = zip(policy.split(positions), reference.split(positions), strict=True)
    if not (torch.is_grad_enabled() and policy.requires_grad):
        return torch.cat([divergence(ours, theirs) for ours, theirs in chunks])
    values = [
        checkpoint(divergence, ours, theirs, use_reentrant=False, preserve_rng_state=False)
        for ours, theirs in chunks
    ]
    return torch.cat(values)


def sequence_weights(lengths: Sequence[int], sequences: int | None = None) -> Tensor:
    """Weight of each position in the mean over sequences of their means over tokens.

    lengths: positions of each sequence, in the order of the N positions; `sequences` is how many
    there are in all, where these are only a part of them. Returns [N] fp32.
    """
    counted = torch.tensor(lengths)
    shares = 1.0 / (counted * (len(lengths) if sequences is None else sequences))
    return shares.repeat_interleave(counted)


def first_tokens(lengths: Sequence[int], count: int = FIRST_TOKENS) -> Tensor:
    """A mask [N], true at the first `count` positions of each sequence."""
    return torch.cat([torch.arange(length) < count for length in lengths])
