"""Random two-block models of the families that people have, written as published checkpoints are.

What differs between them is what an engine or a recipe may trip over: Qwen2 has biases and ties its
head, NeoX fuses query, key and value, runs its halves in parallel and calls its head another name,
Gemma adds norms around each half, scales its embeddings and caps its logits, mixtures route each
token to some of their experts, and Mamba, RWKV and the hybrids carry a state from token to token.
Tokenizer and template are those of the tiny Llama; windows are shorter than the prompts of tests.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.support.tiny_llama import SPECIAL, VOCAB, build_tiny_llama

Config = dict[str, Any]

TOKENS: Config = {
    "vocab_size": VOCAB,
    "bos_token_id": SPECIAL.index("<|im_start|>"),
    "eos_token_id": SPECIAL.index("<|im_end|>"),
    "pad_token_id": SPECIAL.index("<|im_end|>"),
}
SIZES: Config = TOKENS | {
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
GROUPED: Config = SIZES | {"num_key_value_heads": 2}
WIDE: Config = GROUPED | {"head_dim": 32}
OLDER: Config = TOKENS | {"n_embd": 128, "n_layer": 2, "n_head": 4, "n_positions": 512}

EXPERTS: Config = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
}
LATENT: Config = SIZES | {
    "num_key_value_heads": 4,
    "q_lora_rank": 32,
    "kv_lora_rank": 512,  # with 64 more for the positions, what kernels are written for
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 64,
    "v_head_dim": 32,
}
LINEAR: Config = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "layer_types": ["linear_attention", "full_attention"],
}
MAMBA: Config = {
    "mamba_n_heads": 8,
    "mamba_d_head": 32,
    "mamba_d_state": 16,
    "mamba_expand": 2,
    "mamba_chunk_size": 8,
}
SLIDING: Config = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
DENSE_THEN_EXPERTS: Config = EXPERTS | {"n_shared_experts": 1, "first_k_dense_replace": 1}
GROUPS_OF_EXPERTS: Config = DENSE_THEN_EXPERTS | {"n_group": 2, "topk_group": 1}

TOWER: Config = {  # for pictures; the prompts are text
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "depth": 1,
    "num_attention_heads": 2,
    "num_heads": 2,
    "image_size": 16,
    "patch_size": 8,
    "out_hidden_size": 128,
}

# the families that recipes are tried on: what sets each apart is named above
TRAINED = ("qwen2", "gpt_neox", "gemma", "gemma2")

# keyed by model_type; alphabetical
FAMILIES: dict[str, Config] = {
    "apertus": GROUPED,
    "arcee": GROUPED,
    "bamba": GROUPED | MAMBA | {"attn_layer_indices": [1]},
    "biogpt": SIZES,
    "bitnet": GROUPED,
    "bloom": TOKENS | {"hidden_size": 128, "n_layer": 2, "n_head": 4},
    "codegen": OLDER | {"rotary_dim": 16},
    "cohere": GROUPED,
    "cohere2": WIDE | SLIDING,
    "ctrl": TOKENS | {"n_embd": 128, "n_layer": 2, "n_head": 4, "dff": 128, "n_positions": 512},
    "dbrx": TOKENS
    | {
        "d_model": 128,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 512,
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": LATENT | DENSE_THEN_EXPERTS | {"n_group": 1, "topk_group": 1},  # as V2-Lite
    "deepseek_v3": LATENT | GROUPS_OF_EXPERTS,
    "deepseek_v32": LATENT | GROUPS_OF_EXPERTS,
    "diffllama": GROUPED,
    "dots1": WIDE | GROUPS_OF_EXPERTS,
    "ernie4_5": WIDE,
    "ernie4_5_moe": GROUPED | {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 64},
    "exaone4": GROUPED | SLIDING,
    "exaone_moe": WIDE | DENSE_THEN_EXPERTS | SLIDING,
    "falcon": SIZES | {"new_decoder_architecture": True, "num_kv_heads": 2},
    "falcon_h1": GROUPED | MAMBA | {"mamba_d_ssm": 256, "head_dim": 32},
    "falcon_mamba": TOKENS | {"hidden_size": 128, "num_hidden_layers": 2},
    "flex_olmo": GROUPED | EXPERTS,
    "gemma": WIDE,
    "gemma2": WIDE | {"sliding_window": 16},
    "gemma3": TOKENS
    | {"text_config": WIDE | SLIDING, "vision_config": TOWER, "mm_tokens_per_image": 4},
    "gemma3_text": WIDE | SLIDING,
    "gemma4_text": WIDE
    | SLIDING
    | {
        "global_head_dim": 32,
        "hidden_size_per_layer_input": 32,
        "vocab_size_per_layer_input": VOCAB,
        "num_kv_shared_layers": 0,
    },
    "glm": WIDE,
    "glm4": WIDE,
    "glm4_moe": WIDE | GROUPS_OF_EXPERTS,
    "glm4_moe_lite": LATENT | GROUPS_OF_EXPERTS,
    "gpt2": OLDER,
    "gpt_bigcode": OLDER,
    "gpt_neo": TOKENS
    | {
        "hidden_size": 128,
        "num_layers": 2,
        "num_heads": 4,
        "max_position_embeddings": 512,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 16,
    },
    "gpt_neox": SIZES | {"tie_word_embeddings": False},
    "gpt_oss": WIDE | EXPERTS | SLIDING,
    "gptj": OLDER | {"rotary_dim": 16},
    "granite": GROUPED,
    "granitemoe": GROUPED | EXPERTS,
    "granitemoehybrid": GROUPED
    | EXPERTS
    | MAMBA
    | {"layer_types": ["mamba", "attention"], "shared_intermediate_size": 64},
    "helium": WIDE,
    "hunyuan_v1_dense": WIDE,
    "hunyuan_v1_moe": WIDE | EXPERTS | {"moe_topk": 2},
    "jamba": GROUPED | EXPERTS | {"attn_layer_period": 2, "attn_layer_offset": 1},
    "jetmoe": GROUPED | EXPERTS | {"kv_channels": 32},
    "kimi_linear": LATENT
    | EXPERTS
    | {
        "linear_num_heads": 4,
        "linear_head_dim": 32,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "lfm2": GROUPED | {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": GROUPED
    | EXPERTS
    | {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "llama": GROUPED,
    "llama4_text": WIDE | EXPERTS | {"intermediate_size_mlp": 128, "attention_chunk_size": 16},
    "mamba": TOKENS | {"hidden_size": 128, "num_hidden_layers": 2},
    "mamba2": TOKENS
    | {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_heads": 8,
        "head_dim": 32,
        "n_groups": 1,
        "state_size": 16,
        "chunk_size": 8,
    },
    "minicpm3": LATENT,
    "minimax": WIDE | EXPERTS | {"layer_types": ["linear_attention", "full_attention"]},
    "minimax_m2": WIDE | EXPERTS,
    "ministral": WIDE | {"sliding_window": 16},
    "ministral3": WIDE,
    "mistral": WIDE | {"sliding_window": None},
    "mixtral": GROUPED | EXPERTS,
    "mpt": TOKENS | {"d_model": 128, "n_layers": 2, "n_heads": 4, "max_seq_len": 512},
    "nanochat": GROUPED,
    "nemotron": GROUPED,
    "nemotron_h": WIDE
    | {
        "layers_block_type": ["mamba", "attention"],
        "mamba_num_heads": 8,
        "mamba_head_dim": 32,
        "ssm_state_size": 16,
        "n_groups": 1,
        "chunk_size": 8,
    },
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "olmo3": GROUPED | SLIDING,
    "olmo_hybrid": GROUPED | LINEAR | {"num_key_value_heads": 4},
    "olmoe": GROUPED | EXPERTS,
    "openai-gpt": OLDER,
    "opt": SIZES | {"ffn_dim": 128, "word_embed_proj_dim": 128},
    "persimmon": SIZES,
    "phi": SIZES,
    "phi3": GROUPED,
    "phimoe": GROUPED | EXPERTS,
    "qwen2": GROUPED | {"tie_word_embeddings": True},
    "qwen2_moe": GROUPED | EXPERTS | {"shared_expert_intermediate_size": 64},
    "qwen3": WIDE,
    "qwen3_5": TOKENS | {"text_config": WIDE | LINEAR, "vision_config": TOWER},
    "qwen3_5_moe_text": WIDE | LINEAR | EXPERTS | {"shared_expert_intermediate_size": 64},
    "qwen3_5_text": WIDE | LINEAR,
    "qwen3_moe": WIDE | EXPERTS,
    "qwen3_next": WIDE | LINEAR | EXPERTS | {"shared_expert_intermediate_size": 64},
    "recurrent_gemma": GROUPED
    | {"block_types": ["recurrent", "attention"], "attention_window_size": 16},
    "rwkv": TOKENS | {"hidden_size": 128, "num_hidden_layers": 2, "context_length": 512},
    "seed_oss": WIDE,
    "smollm3": GROUPED,
    "stablelm": GROUPED,
    "starcoder2": GROUPED | {"sliding_window": None},
    "vaultgemma": WIDE | SLIDING,
    "xglm": TOKENS
    | {
        "d_model": 128,
        "ffn_dim": 128,
        "num_layers": 2,
        "attention_heads": 4,
        "max_position_embeddings": 512,
    },
    "xlstm": TOKENS | {"hidden_size": 128, "num_hidden_layers": 2, "num_heads": 4, "chunk_size": 8},
    "zamba2": SIZES
    | {
        "layers_block_type": ["mamba", "hybrid"],
        "mamba_d_state": 16,
        "n_mamba_heads": 8,
        "chunk_size": 8,
    },
}


def build_tiny(
    family: str,
    folder: Path,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    **settings: Any,
) -> Path:
    """Write a checkpoint of the family into `folder`, which must not exist yet.

    `settings` of its config go before those of the table.
    """
    build_tiny_llama(folder)
    (folder / "model.safetensors").unlink()
    config = AutoConfig.for_model(family, **(FAMILIES[family] | settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():  # norms and biases begin at 0 or 1, and would hide faults
            weight.data.add_(torch.randn_like(weight), alpha=0.02)
    model.to(dtype).save_pretrained(folder)
    return folder
