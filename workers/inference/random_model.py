"""A random Llama of a known shape, to see how fast this machine is without a checkpoint of anybody.

    python -m workers.inference.random_model FOLDER

It has the shape of SmolLM2-135M, so what is measured on it can be set beside the rates that
estimates of minutes are made from (holdfast/forecast/cost.py). One token a byte; what it says means
nothing.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
WIDTH = 0.03
SHAPE: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


def write_random_model(folder: Path) -> None:
    """Write the checkpoint into `folder`."""
    ends: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    with torch.device("meta"):  # initialised once, below, and not by each of its layers
        model: Any = LlamaForCausalLM(LlamaConfig(**SHAPE, **ends, dtype=torch.bfloat16))
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    model.tie_weights()
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.uniform_(-WIDTH, WIDTH)
    model.save_pretrained(folder)
    _bytes_tokenizer().save_pretrained(folder)


def _bytes_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, after the special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: place for place, token in enumerate((*SPECIAL, *alphabet))}
    bytewise = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[2],
        unk_token=SPECIAL[0],
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


if __name__ == "__main__":
    write_random_model(Path(sys.argv[1]))
