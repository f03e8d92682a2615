"""A two-layer Llama whose weights are a formula, and pairs of answers: the same in every library.

Weights from a random generator would be others in another version of torch, and numbers that a
peer gave once could not be asked for again.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

BETA = 0.1
PAIRS = [  # prompt, chosen and rejected answer, as tokens
    ([1, 5, 9, 13], [7, 8, 2], [40, 41, 42, 43, 2]),
    ([1, 33], [3, 2], [3, 3, 3, 3, 3, 3, 3, 2]),
    ([1, 20, 21, 22, 23, 24, 25], [60, 11, 59, 12, 58, 2], [2]),
]


def toy(shift: float) -> LlamaForCausalLM:
    """In fp32, without dropout; another `shift`, other weights."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            places = torch.arange(weight.numel(), dtype=torch.float64)
            values = torch.sin(0.013 * places.square() + shift + number)
            middle = 1.0 if weight.ndim == 1 else 0.0
            weight.copy_((middle + 0.2 * values).view_as(weight))
    return model.float().eval()


def digest(tensor: torch.Tensor) -> list[float]:
    """Its norm and its first eight numbers: enough to tell another tensor by."""
    flat = tensor.detach().double().reshape(-1)
    return [flat.norm().item(), *flat[:8].tolist()]
