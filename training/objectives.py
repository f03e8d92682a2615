"""Losses as pure functions of tensors, in float32 whatever the forward pass ran in.

Supervised fine-tuning takes the mean over all completion tokens of the optimizer step
(`token_mean_global`): the sum of nats of each part of the batch is divided by the token count of
the whole step, so cutting a step into parts changes nothing. Averaging the parts' own means would
be another objective as soon as lengths differ.
"""

import torch
from torch import Tensor
from torch.nn import functional


def sft_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed negative log-likelihood, in nats.

    logits: [N, V], row n predicts targets[n]; targets: [N] token ids, completion tokens only.
    """
    return functional.cross_entropy(logits.float(), targets, reduction="sum")


def completion_targets(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Which positions predict a completion token, and which token that is.

    ids: [B, T]; mask: [B, T], true on completion tokens. Returns ([B, T] bool, [N] ids): the
    position before each completion token predicts it, the last one of the prompt included.
    """
    predicts = torch.zeros_like(mask)
    predicts[:, :-1] = mask[:, 1:]
    return predicts, ids[:, 1:][mask[:, 1:]]
