"""Random two-block models of other families, written as their published checkpoints are.

What differs between them is what a recipe may trip over: Qwen2 has biases and ties its head, NeoX
fuses query, key and value, runs its halves in parallel and calls its head another name, Gemma adds
norms around each half, scales its embeddings and caps its logits. Tokenizer and template are those
of the tiny Llama.
"""

from pathlib import Path

import torch
from transformers import (
    Gemma2Config,
    GemmaConfig,
    GPTNeoXConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tests.support.tiny_llama import SPECIAL, VOCAB, build_tiny_llama

SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": SPECIAL.index("<|im_start|>"),
    "eos_token_id": SPECIAL.index("<|im_end|>"),
    "pad_token_id": SPECIAL.index("<|im_end|>"),
}
GROUPED = SIZES | {"num_key_value_heads": 2, "head_dim": 16}

FAMILIES: dict[str, PreTrainedConfig] = {
    "qwen2": Qwen2Config(**SIZES | {"num_key_value_heads": 2}, tie_word_embeddings=True),
    "neox": GPTNeoXConfig(**SIZES, tie_word_embeddings=False),
    "gemma": GemmaConfig(**GROUPED),
    "gemma2": Gemma2Config(**GROUPED, sliding_window=32),
}


def build_tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a bf16 checkpoint of the family into `folder`, which must not exist yet."""
    if family == "llama":
        return build_tiny_llama(folder, seed=seed)
    build_tiny_llama(folder)
    (folder / "model.safetensors").unlink()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(FAMILIES[family])
        for weight in model.parameters():  # norms and biases begin at 0 or 1, and would hide faults
            weight.data.add_(torch.randn_like(weight), alpha=0.02)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder
