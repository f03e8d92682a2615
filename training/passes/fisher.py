"""How much the baseline's answers hang on each weight: the diagonal of the Fisher information.

F_i = E[(d log p(y | x) / d theta_i)²], squared for each row and then averaged; the square of the
mean would be close to nothing. The true one draws y from the model itself: here a token at every
position of the baseline's own answers, whose cross terms vanish in the mean, so it needs no
generation. The empirical one takes the tokens that stand there, which a model that is sure of them
finds far smaller; it is another quantity, and is named so.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from holdfast.repairs.knobs import Fisher
from training.passes.trusted import logits_of
from training.rows.batches import Example


def squared_gradients(log_likelihood: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """(d log_likelihood / d weight)² of each weight; log_likelihood is a scalar, of one row."""
    gradients = torch.autograd.grad(log_likelihood, list(weights))
    return [gradient.square() for gradient in gradients]


def diagonal_fisher(
    model: nn.Module, examples: Sequence[Example], pad: int, kind: Fisher, seed: int
) -> dict[str, Tensor]:
    """The Fisher diagonal of every trained weight, by name: the mean over rows."""
    named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    diagonals = {name: torch.zeros_like(weight) for name, weight in named.items()}
    generator = torch.Generator().manual_seed(seed)
    for example in examples:
        logits, recorded = logits_of(model, [example], pad)
        logits = logits.float()
        targets = recorded if kind == "empirical" else draw_tokens(logits, generator)
        likelihood = -functional.cross_entropy(logits, targets, reduction="sum")
        squares = squared_gradients(likelihood, list(named.values()))
        for total, square in zip(diagonals.values(), squares, strict=True):
            total.add_(square, alpha=1 / len(examples))
    return diagonals


def draw_tokens(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One token [N] of each distribution of `logits` [N, V], on their device."""
    chances = logits.detach().softmax(-1).cpu()
    return torch.multinomial(chances, 1, generator=generator)[:, 0].to(logits.device)
