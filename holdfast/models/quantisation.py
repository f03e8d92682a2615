"""How a checkpoint's weights are quantised, by the label that evidence and verdicts carry.

A quantised model computes with other numbers than its parent, so the label is part of what
answered: two sides with different ones are compared only by a policy that says so.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.errors import CheckpointRefused

SETTINGS = ("quantization_config", "compression_config")  # the second of older llm-compressor


def quantisation_config(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """A config's quantisation settings, its own or its text model's; None where it has none."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        for name in SETTINGS:
            if (settings := part.get(name)) is None:
                continue
            if not isinstance(settings, dict) or not isinstance(method_of(settings), str):
                raise CheckpointRefused(
                    f"config.json: {name} is {str(settings)[:60]!r}, expected an object with its "
                    "quant_method; quantise the model again, or take its unquantised parent"
                )
            return settings
    return None


def method_of(settings: Mapping[str, Any]) -> Any:
    """The method's name; older bitsandbytes configs have none."""
    if settings.get("load_in_4bit") or settings.get("load_in_8bit"):
        return "bitsandbytes"
    return settings.get("quant_method")


def quantisation_of(checkpoint: Path) -> str | None:
    """The label, such as `compressed-tensors W4A16`; None where nothing is quantised."""
    file = checkpoint / "config.json"
    config = json.loads(file.read_bytes()) if file.is_file() else {}
    settings = quantisation_config(config) if isinstance(config, dict) else None
    return None if settings is None else label(settings)


def label(settings: Mapping[str, Any]) -> str:
    """Method and bits, as the field writes them."""
    method = str(method_of(settings))
    if method == "compressed-tensors":
        groups = settings.get("config_groups") or {}
        schemes = sorted({_scheme(group) for group in groups.values()})
        return " ".join([method, *schemes])
    bits = settings.get("bits")
    return f"{method} W{bits}" if isinstance(bits, int) else method


def _scheme(group: Mapping[str, Any]) -> str:
    inputs = _bits(group.get("input_activations"))
    kind = "FP" if (group.get("weights") or {}).get("type") == "float" else "W"
    return f"{kind}{_bits(group.get('weights'))}A{inputs}"


def _bits(numbers: Mapping[str, Any] | None) -> int:
    """16 where they are left as they are."""
    return int((numbers or {}).get("num_bits", 16))
