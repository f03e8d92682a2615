#!/bin/sh
# FP8 weights with one scale a tensor are read without their scales: transformers 5.19.0, torch 2.13.0, CPU.
#
# The folder is as AutoFP8 and others publish it: quant_method fp8, of each layer an FP8 `weight` and its
# `weight_scale`, no weight_block_size. What the numbers stand for is their product. The loader takes the
# FP8 numbers for the weights themselves; the scales are logged as UNEXPECTED, and no error is raised.
# Names of DeepSeek's kind (`weight_scale_inv`, blocks) are read right.
# Output seen:
#   model.layers.0.mlp.up_proj.weight: loaded 5080.3 times as large as it stands for
# Exits 0 while that is so, 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu \
    "torch==2.13.0+cpu" "transformers==5.19.0" "accelerate==1.15.0"
cd "$folder"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=256, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4
)
LlamaForCausalLM(config).save_pretrained("fp8")
plain = load_file("fp8/model.safetensors")
packed = {}
for name, weight in plain.items():
    if not name.endswith("_proj.weight"):
        packed[name] = weight.clone()
        continue
    scale = weight.abs().max() / 448
    packed[name] = (weight / scale).to(torch.float8_e4m3fn)
    packed[name + "_scale"] = scale.reshape(1)
save_file(packed, "fp8/model.safetensors", metadata={"format": "pt"})
file = Path("fp8/config.json")
quantised = {"quant_method": "fp8", "activation_scheme": "dynamic", "ignored_layers": ["lm_head"]}
file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": quantised}))

model = AutoModelForCausalLM.from_pretrained("fp8", dtype=torch.float32)
name = "model.layers.0.mlp.up_proj.weight"
factor = (model.state_dict()[name].float().norm() / plain[name].norm()).item()
print(f"{name}: loaded {factor:.1f} times as large as it stands for")
sys.exit(0 if abs(factor - 1) > 0.1 else 1)
PYTHON
