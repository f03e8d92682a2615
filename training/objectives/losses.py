"""Losses as pure functions of tensors, in float32 whatever the forward pass ran in.

Supervised fine-tuning takes the mean over all completion tokens of the optimizer step
(`token_mean_global`): the sum of nats of each part of the batch is divided by the token count of
the whole step, so cutting a step into parts changes nothing. Averaging the parts' own means would
be another objective as soon as lengths differ.

Preferences are DPO (https://arxiv.org/abs/2305.18290) on summed log-probabilities: h is by how many
nats the policy prefers the chosen answer more than its reference does. MMPO
(https://arxiv.org/abs/2410.03145) has a target for that margin instead of driving it to infinity.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.repairs.plan import Reduction


def sft_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed negative log-likelihood, in nats.

    logits: [N, V], row n predicts targets[n]; targets: [N] token ids, completion tokens only.
    """
    return functional.cross_entropy(logits.float(), targets, reduction="sum")


def nats_weights(parts: Sequence[tuple[int, int]], reduction: Reduction) -> list[float]:
    """Weight of a nat of each part of a step in the step's loss.

    parts: (rows, completion tokens) of each. The loss is nats a token of the whole step
    (token_mean_global), the mean of the parts' own nats a token (token_mean_batch), or nats a row
    (seq_sum_mean).
    """
    match reduction:
        case "token_mean_global":
            return [1 / sum(tokens for _, tokens in parts)] * len(parts)
        case "token_mean_batch":
            return [1 / (tokens * len(parts)) for _, tokens in parts]
        case "seq_sum_mean":
            return [1 / sum(rows for rows, _ in parts)] * len(parts)


def completion_targets(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The positions that predict a completion token, and the tokens they predict.

    ids: [B, T]; mask: [B, T], true on completion tokens. Returns ([B, T] bool, [N] ids): the
    position before each completion token predicts it, the last one of the prompt included.
    """
    predicts = torch.zeros_like(mask)
    predicts[:, :-1] = mask[:, 1:]
    return predicts, ids[:, 1:][mask[:, 1:]]


def answer_logprobs(logits: Tensor, targets: Tensor, answer: Tensor, answers: int) -> Tensor:
    """Summed log-probability of each answer, in nats: [answers].

    logits: [N, V], row n predicts targets[n], a token of answer number answer[n].
    """
    nats = functional.cross_entropy(logits.float(), targets, reduction="none")
    return nats.new_zeros(answers).index_add(0, answer, -nats)


def log_ratio(policy: Tensor, reference: Tensor) -> Tensor:
    """By how many nats the policy prefers chosen answers more than the reference does: h, [P].

    policy, reference: [P, 2], summed log-probabilities of (chosen, rejected).
    """
    moved = policy - reference
    return moved[:, 0] - moved[:, 1]


def preference_loss(h: Tensor, beta: float, target: Tensor | None = None) -> Tensor:
    """DPO's loss of each pair, -log sigmoid(beta h), in nats: [P] from h: [P].

    `target` [P] is MMPO's soft label p, the probability that the chosen answer is the better one:
    -p log sigmoid(beta h) - (1 - p) log sigmoid(-beta h). Its least value is p's entropy, where
    beta h = logit p.
    """
    loss = functional.softplus(-beta * h)
    return loss if target is None else loss + (1 - target) * beta * h


def margin_targets(margins: Tensor, gamma: float) -> Tensor:
    """MMPO's soft label of each pair, sigmoid(gamma margin): [P] from quality differences [P]."""
    return torch.sigmoid(gamma * margins)


def preference_figures(policy: Tensor, reference: Tensor, beta: float) -> dict[str, float]:
    """Implicit rewards β(S - S_ref) of pairs [P, 2]: their means, accuracy, and mean margin."""
    chosen, rejected = (beta * (policy - reference).detach().double()).unbind(dim=1)
    return {
        "chosen_reward": chosen.mean().item(),
        "rejected_reward": rejected.mean().item(),
        "accuracy": (chosen > rejected).double().mean().item(),
        "margin": (chosen - rejected).mean().item(),
    }
