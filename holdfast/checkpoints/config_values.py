"""The values of a config that admission looks at: sizes that no model has, and kernels by name.

A size becomes a loop or a buffer as soon as a library reads it, long before a weight is missing. An
implementation that is written `owner/repository` is code: the library fetches it and runs it. Both
are looked for at any depth, since a config holds those of its text and vision models.
"""

import re
from collections.abc import Iterator
from types import NoneType
from typing import Any

from holdfast.checkpoints.json_files import abridged

LAYERS, HEADS, WIDTH = 10_000, 1 << 16, 1 << 24
POSITIONS = 1 << 27  # Llama 4 Scout has ten million
SIZES: dict[str, int] = {  # by the names that model types give them; far beyond any published one
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), LAYERS),
    **dict.fromkeys(("num_nextn_predict_layers", "encoder_layers", "decoder_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "num_heads"), HEADS),
    **dict.fromkeys(("n_head", "n_heads"), HEADS),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), HEADS),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "vocab_size", "num_labels"), WIDTH),
    **dict.fromkeys(("intermediate_size", "moe_intermediate_size", "n_inner", "d_ff"), WIDTH),
    **dict.fromkeys(("ffn_dim", "head_dim", "d_head", "rotary_dim"), WIDTH),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), POSITIONS),
    **dict.fromkeys(("sliding_window", "attention_window_size"), POSITIONS),
}
IMPLEMENTATION = re.compile(r"_?(attn|experts)_implementation(_internal)?")
KNOWN = frozenset(
    {
        "eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3",
        "flash_attention_4", "batched_mm", "grouped_mm",
    }
)  # fmt: skip
PARTS = frozenset({"text_config", "vision_config", "audio_config"})


def odd_values(config: Any) -> Iterator[str]:
    """A clause about each value, at any depth, that no model has or that names code."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield from _odd_value(key, value)
            yield from odd_values(value)
    elif isinstance(config, list):
        for value in config:
            yield from odd_values(value)


def _odd_value(key: str, value: Any) -> Iterator[str]:
    if key in SIZES and not all(_is_size(size, SIZES[key]) for size in _leaves(value)):
        yield f"{key} is {abridged(value)}, expected a whole number up to {SIZES[key]}"
    if key in PARTS and not isinstance(value, dict | NoneType):
        yield f"{key} is {abridged(value)}, expected an object"
    if IMPLEMENTATION.fullmatch(key) and not KNOWN.issuperset(_leaves(value)):
        known = ", ".join(sorted(KNOWN))
        yield f"{key} is {abridged(value)}, which names code; expected {known}"
    if "kernel" in key.lower() and any(map(_is_repository, _leaves(value))):
        yield f"{key} is {abridged(value)}, and no code of a repository is run; remove the key"


def _leaves(value: Any) -> Iterator[Any]:
    """The values in a value, however deep, without those that are not set."""
    match value:
        case dict():
            yield from (leaf for inner in value.values() for leaf in _leaves(inner))
        case list():
            yield from (leaf for inner in value for leaf in _leaves(inner))
        case other if other is not None:
            yield other


def _is_size(value: Any, limit: int) -> bool:
    whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    return whole and -1 <= value <= limit  # some write -1 for "none"


def _is_repository(value: Any) -> bool:
    return isinstance(value, str) and ("/" in value or ":" in value)
