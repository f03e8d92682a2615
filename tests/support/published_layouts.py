"""Tiny random models whose files name their tensors as published checkpoints of the family do.

The library's own save gives most of it: it writes fused experts apart and renamed heads under
their old names. What older releases and other writers left in files is put in by `edit`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from tests.support.tiny_families import FAMILIES
from tests.support.tiny_llama import VOCAB, build_tiny_llama

Weights = dict[str, torch.Tensor]

SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT: dict[str, Any] = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 1,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


@dataclass(frozen=True)
class Layout:
    """A family's settings, what its files hold besides, and how much of it no model needs."""

    model_type: str
    settings: dict[str, Any]
    edit: Callable[[Weights], Weights] = dict
    ignored: int = 0


def _old_llama(weights: Weights) -> Weights:
    buffers = {f"model.layers.{at}.self_attn.rotary_emb.inv_freq": torch.ones(8) for at in range(2)}
    return weights | buffers


def _without_prefix(weights: Weights) -> Weights:
    """GPT-2 as its authors published it: the inner model alone, with its causal masks."""
    masks = {f"h.{at}.attn.bias": torch.ones(1, 1, 8, 8) for at in range(2)}
    return {name.removeprefix("transformer."): weight for name, weight in weights.items()} | masks


def _with_next_layer(weights: Weights) -> Weights:
    """A layer behind the last one, which predicts the token after the next."""
    last = {
        name.replace(".layers.1.", ".layers.2."): weight.clone()
        for name, weight in weights.items()
        if ".layers.1." in name
    }
    return weights | last | {"model.layers.2.eh_proj.weight": torch.ones(64, 128)}


def _with_predictor(weights: Weights) -> Weights:
    return weights | {"mtp.fc.weight": torch.ones(64, 128), "mtp.norm.weight": torch.ones(64)}


def _with_tower(weights: Weights) -> Weights:
    """Eyes, which a model that is asked text alone does not open, and a predictor."""
    eyes = {"model.visual.patch_embed.proj.bias": torch.ones(32)}
    return _with_predictor(weights) | eyes


def _with_masks(*names: str) -> Callable[[Weights], Weights]:
    """The causal masks and the like that files of older releases carry for every block."""

    def edit(weights: Weights) -> Weights:
        masks = [name.format(at) for name in names for at in range(2)]
        return weights | {name: torch.ones(1, 1, 8, 8) for name in masks}

    return edit


LAYOUTS: dict[str, Layout] = {
    "llama": Layout("llama", {"tie_word_embeddings": False}),
    "llama, tied": Layout("llama", {"tie_word_embeddings": True}),
    "llama of 2023": Layout("llama", {"tie_word_embeddings": False}, _old_llama, ignored=2),
    "mistral": Layout("mistral", {"sliding_window": 32}),
    "qwen2": Layout("qwen2", {"tie_word_embeddings": True}),
    "qwen3": Layout("qwen3", {"head_dim": 16, "tie_word_embeddings": True}),
    "gemma2": Layout("gemma2", {"head_dim": 16, "sliding_window": 32}),
    "gemma3, text": Layout("gemma3_text", {"head_dim": 16, "sliding_window": 32}),
    "gemma3, wrapped": Layout(
        "gemma3",
        {
            "text_config": SIZES | {"head_dim": 16, "sliding_window": 32},
            "vision_config": VISION,
            "mm_tokens_per_image": 4,
            "image_token_index": 10,
        },
    ),
    "neox": Layout(
        "gpt_neox",
        {"tie_word_embeddings": False},
        _with_masks(
            "gpt_neox.layers.{}.attention.bias",
            "gpt_neox.layers.{}.attention.masked_bias",
            "gpt_neox.layers.{}.attention.rotary_emb.inv_freq",
        ),
        ignored=6,
    ),
    "gpt2": Layout("gpt2", {}),
    "gpt2, no prefix": Layout("gpt2", {}, _without_prefix, ignored=2),
    "phi3": Layout("phi3", {}),
    "opt": Layout(
        "opt",
        {"ffn_dim": 128, "word_embed_proj_dim": 64, "do_layer_norm_before": True},
        lambda weights: weights | {"model.decoder.version": torch.tensor([3.0])},
        ignored=1,
    ),
    "mixtral": Layout("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen3_moe": Layout("qwen3_moe", EXPERTS | {"num_experts": 4, "head_dim": 16}),
    "deepseek_v3": Layout(
        "deepseek_v3", EXPERTS | LATENT | {"num_key_value_heads": 4}, _with_next_layer, ignored=27
    ),
    "qwen3_next": Layout(
        "qwen3_next",
        EXPERTS
        | {
            "num_experts": 4,
            "head_dim": 16,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
        },
        _with_predictor,
        ignored=2,
    ),
    "qwen3_5, its tower": Layout("qwen3_5_text", FAMILIES["qwen3_5_text"], _with_tower, ignored=3),
    "glm4_moe": Layout("glm4_moe", FAMILIES["glm4_moe"], _with_next_layer, ignored=24),
    "ernie4_5_moe": Layout("ernie4_5_moe", FAMILIES["ernie4_5_moe"], _with_predictor, ignored=2),
    "exaone_moe": Layout("exaone_moe", FAMILIES["exaone_moe"], _with_predictor, ignored=2),
    "nemotron_h": Layout("nemotron_h", FAMILIES["nemotron_h"], _with_predictor, ignored=2),
    "olmo_hybrid": Layout("olmo_hybrid", FAMILIES["olmo_hybrid"], _with_predictor, ignored=2),
    "gptj": Layout(
        "gptj",
        FAMILIES["gptj"],
        _with_masks("transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias"),
        ignored=4,
    ),
    "gpt_neo": Layout(
        "gpt_neo",
        FAMILIES["gpt_neo"],
        _with_masks("transformer.h.{}.attn.attention.bias"),
        ignored=2,
    ),
    "codegen": Layout(
        "codegen",
        FAMILIES["codegen"],
        _with_masks("transformer.h.{}.attn.causal_mask"),
        ignored=2,
    ),
    "xglm": Layout(
        "xglm",
        FAMILIES["xglm"],
        lambda weights: weights | {"model.embed_positions.weights": torch.ones(8, 128)},
        ignored=1,
    ),
    "mistral of 2023": Layout("mistral", {"sliding_window": 32}, _old_llama, ignored=2),
    "gpt_oss": Layout("gpt_oss", {"num_local_experts": 4, "head_dim": 16}),
    "olmo2": Layout("olmo2", {}),
    "phi": Layout("phi", {}),
    "falcon": Layout("falcon", {"new_decoder_architecture": False}),
    "bloom": Layout("bloom", {"n_layer": 2, "n_head": 4}),
}


def build_layout(name: str, folder: Path) -> Path:
    """Write the checkpoint into `folder`, which must not exist yet; tokens are the tiny Llama's."""
    layout = LAYOUTS[name]
    build_tiny_llama(folder)
    (folder / "model.safetensors").unlink()
    config = AutoConfig.for_model(layout.model_type, **_settings(layout))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    rewrite(folder, layout.edit)
    return folder


def rewrite(folder: Path, edit: Callable[[Weights], Weights]) -> None:
    """Write the weights of a checkpoint of one file again, edited."""
    file = folder / "model.safetensors"
    weights = edit({name: weight.clone() for name, weight in load_file(file).items()})
    save_file(weights, file, metadata={"format": "pt"})


def set_config(folder: Path, **settings: Any) -> None:
    """Write the config again with other settings."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def _settings(layout: Layout) -> dict[str, Any]:
    return layout.settings if "text_config" in layout.settings else SIZES | layout.settings
