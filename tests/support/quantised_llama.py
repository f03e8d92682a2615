"""A tiny Llama as quantisers write it: packed by hand, with the plain model that it stands for.

Only the layers inside the blocks are quantised, as everybody does. `plain` holds the very numbers
that the packed ones stand for, so the two have to answer alike but for rounding.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Weights = dict[str, torch.Tensor]
Packed = tuple[Weights, torch.Tensor]  # tensors by what follows the layer's name; what they mean

GROUP = 32
BLOCK = 64  # no layer has fewer rows: vLLM wants whole blocks of each of the fused ones
PER_WORD = 8  # four-bit numbers in an int32


def _scaled(weight: torch.Tensor, most: float) -> tuple[torch.Tensor, torch.Tensor]:
    """One scale a row, and the weights divided by it."""
    scale = weight.abs().amax(-1, keepdim=True).clamp(min=1e-8) / most
    return scale, weight / scale


def _words(numbers: torch.Tensor, order: tuple[int, ...] = tuple(range(PER_WORD))) -> torch.Tensor:
    """Four-bit numbers [rows, columns] packed along the columns, eight a word."""
    nibbles = numbers.long().unflatten(-1, (-1, PER_WORD))[..., list(order)]
    words = (nibbles << (4 * torch.arange(PER_WORD))).sum(-1)
    return torch.where(words >= 1 << 31, words - (1 << 32), words).int().contiguous()


def _four_bits(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Numbers 0 to 15, scales [rows, groups], and what they mean: (number - 8) * scale."""
    grouped = weight.unflatten(-1, (-1, GROUP))
    scale = (grouped.abs().amax(-1, keepdim=True).clamp(min=1e-8) / 7).half().float()
    numbers = (grouped / scale).round().clamp(-8, 7)
    meant = (numbers * scale).flatten(-2)
    return numbers.flatten(-2) + 8, scale.squeeze(-1), meant


def fp8(weight: torch.Tensor) -> Packed:
    scale = weight.abs().max() / 448
    packed = (weight / scale).to(torch.float8_e4m3fn)
    blocks = [-(-size // BLOCK) for size in weight.shape]
    return (
        {"weight": packed, "weight_scale_inv": torch.full(blocks, float(scale))},
        packed.float() * scale,
    )


def w8a8(weight: torch.Tensor) -> Packed:
    scale, scaled = _scaled(weight, 127)
    packed = scaled.round().to(torch.int8)
    return {"weight": packed, "weight_scale": scale}, packed.float() * scale


def f8a8(weight: torch.Tensor) -> Packed:
    scale, scaled = _scaled(weight, 448)
    packed = scaled.to(torch.float8_e4m3fn)
    return {"weight": packed, "weight_scale": scale}, packed.float() * scale


def w4a16(weight: torch.Tensor) -> Packed:
    numbers, scale, meant = _four_bits(weight)
    shape = torch.tensor(weight.shape)
    packed = {"weight_packed": _words(numbers), "weight_scale": scale, "weight_shape": shape}
    return packed, meant


def gptq(weight: torch.Tensor) -> Packed:
    numbers, scale, meant = _four_bits(weight)
    zeros = torch.full_like(scale.T, 7)  # the format stores them less one
    return {
        "qweight": _words(numbers).T.contiguous(),
        "qzeros": _words(zeros),
        "scales": scale.T.half().contiguous(),
        "g_idx": (torch.arange(weight.shape[1]) // GROUP).int(),
    }, meant


def awq(weight: torch.Tensor) -> Packed:
    numbers, scale, meant = _four_bits(weight)
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    return {
        "qweight": _words(numbers.T.contiguous(), order),
        "qzeros": _words(torch.full_like(scale.T, 8), order),
        "scales": scale.T.half().contiguous(),
    }, meant


def _compressed(form: str, weights: dict[str, Any], inputs: dict[str, Any] | None) -> Any:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }


_FP8 = {"num_bits": 8, "type": "float", "symmetric": True}
_INT8 = {"num_bits": 8, "type": "int", "symmetric": True}
QUANTISERS: dict[str, tuple[Callable[[torch.Tensor], Packed], dict[str, Any]]] = {
    "fp8": (
        fp8,
        {
            "quant_method": "fp8",
            "activation_scheme": "dynamic",
            "weight_block_size": [BLOCK, BLOCK],
        },
    ),
    "compressed-tensors W8A8": (
        w8a8,
        _compressed(
            "int-quantized",
            _INT8 | {"strategy": "channel", "dynamic": False},
            _INT8 | {"strategy": "token", "dynamic": True},
        ),
    ),
    "compressed-tensors FP8": (
        f8a8,
        _compressed(
            "float-quantized",
            _FP8 | {"strategy": "channel", "dynamic": False},
            _FP8 | {"strategy": "token", "dynamic": True},
        ),
    ),
    "compressed-tensors W4A16": (
        w4a16,
        _compressed(
            "pack-quantized",
            {
                "num_bits": 4,
                "type": "int",
                "symmetric": True,
                "strategy": "group",
                "group_size": GROUP,
                "dynamic": False,
            },
            None,
        ),
    ),
    "gptq": (
        gptq,
        {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": GROUP,
            "desc_act": False,
            "sym": True,
            "checkpoint_format": "gptq",
        },
    ),
    "awq": (
        awq,
        {
            "quant_method": "awq",
            "bits": 4,
            "group_size": GROUP,
            "zero_point": True,
            "version": "gemm",
        },
    ),
}


def quantise(method: str, plain: Path, folder: Path) -> Path:
    """Write the model of `plain` packed into `folder`, and what that stands for into `plain`."""
    pack, config = QUANTISERS[method]
    shutil.copytree(plain, folder)
    file = folder / "model.safetensors"
    packed: Weights = {}
    meant: Weights = {}
    for name, weight in load_file(plain / "model.safetensors").items():
        if not name.endswith("_proj.weight"):
            packed[name] = meant[name] = weight
            continue
        tensors, meaning = pack(weight.float())
        meant[name] = meaning.to(weight.dtype)
        layer = name.removesuffix("weight")
        packed |= {layer + rest: tensor.contiguous() for rest, tensor in tensors.items()}
    save_file(packed, file, metadata={"format": "pt"})
    save_file(meant, plain / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"quantization_config": config}))
    return folder
