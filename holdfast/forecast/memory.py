"""Forecasts what a checkpoint takes of a device's memory: to ask it, to merge it, to train it.

Counted from the headers of its files and its config, before anything is loaded. These are the least
that is needed: what a batch takes on top hangs on its tokens (1.4 GB for the demo's eight rows of a
135M model).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from holdfast.checkpoints.checkpoint import tensor_spans
from holdfast.checkpoints.json_files import strict_json
from holdfast.checkpoints.safetensors_header import COMPUTED, DTYPE_BITS
from holdfast.errors import CheckpointRefused
from holdfast.repairs.recipes import RECIPES, Recipe

ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2}
STREAMED = 300 << 20  # of a merge, whatever the model's size: imports and the pieces in hand
WEIGHTS, TRAINED = 4, 16  # bytes a number in fp32; with its gradient and Adam's two moments
SECOND = frozenset(  # another copy beside it
    {"l2_anchor", "l1_anchor", "kl_anchor", "kd", "sma", "safe_gradient", "maxright"}
)
THIRD = frozenset({"ewc"})  # that, and how much each weight matters


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How large a model is: its numbers, the bytes of what is packed, and a token's cache.

    `cache` counts the numbers that attention keeps of one token; None where the config does not
    say.
    """

    numbers: int
    packed: int
    cache: int | None


@dataclass(frozen=True, slots=True)
class Need:
    """The least bytes that one use of a model takes on each device, and of what they are."""

    use: str
    bytes: int
    of: str


def size_of(checkpoint: Path) -> ModelSize:
    """The size of a model by its files; CheckpointRefused where they hold none."""
    files = sorted(checkpoint.glob("*.safetensors"))
    if not files:
        raise CheckpointRefused(f"{checkpoint} holds no *.safetensors, expected a model's folder")
    spans = [span for file in files for span in tensor_spans(file).values()]
    packed = [span for span in spans if span.dtype not in COMPUTED]
    return ModelSize(
        numbers=sum(prod(span.shape) for span in spans if span.dtype in COMPUTED),
        packed=sum(prod(span.shape) * DTYPE_BITS[span.dtype] // 8 for span in packed),
        cache=_cache_numbers(_text_config(checkpoint / "config.json")),
    )


def needs_of(size: ModelSize, dtype: str, tokens: int, devices: int = 1) -> Iterator[Need]:
    """The needs of asking it, over so many `devices`, and of repairing it on one.

    `tokens` are those of the longest conversation.
    """
    weights = size.numbers * ITEMSIZE[dtype] + size.packed
    cache = (size.cache or 0) * ITEMSIZE[dtype] * tokens
    of = f"weights in {dtype}" + (f" and one conversation of {tokens} tokens" if cache else "")
    each = f", over {devices} devices" if devices > 1 else ""
    yield Need("asking it", (weights + cache) // devices, of + each)
    merged = ", ".join(name for name, spec in RECIPES.items() if not spec.trains)
    yield Need(f"merging it ({merged})", STREAMED, "pieces of it, whatever its size")
    ratios = "the average in fp32, and its gradient"
    yield Need("finding its ratios (hma)", 2 * WEIGHTS * size.numbers, ratios)
    yield Need("training an adapter (lora.rank)", WEIGHTS * size.numbers, "weights in fp32")
    trained = "weights in fp32, their gradients, Adam's two moments"
    for copies, more in ((0, ""), (1, "; a second model"), (2, "; a second model, its Fisher")):
        names = ", ".join(name for name in RECIPES if _copies(name) == copies)
        yield Need(
            f"training all of it ({names})",
            (TRAINED + copies * WEIGHTS) * size.numbers,
            trained + more,
        )


def _copies(name: Recipe) -> int | None:
    """How many further models of its size a recipe that trains holds; None where it trains none."""
    spec = RECIPES[name]
    if not spec.trains or spec.family == "searching":
        return None
    return 2 if name in THIRD else int(name in SECOND)


def _text_config(file: Path) -> Mapping[str, Any]:
    """The part of a config that is about text, where a model reads more than that."""
    if not file.is_file():
        return {}
    config = strict_json(file.read_bytes(), str(file))
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def _cache_numbers(config: Mapping[str, Any]) -> int | None:
    heads, layers = config.get("num_attention_heads"), config.get("num_hidden_layers")
    if not isinstance(heads, int) or not isinstance(layers, int) or heads < 1:
        return None
    width = config.get("head_dim") or int(config.get("hidden_size") or 0) // heads
    shared = config.get("num_key_value_heads") or heads
    return 2 * layers * int(width) * int(max(shared) if isinstance(shared, list) else shared)
