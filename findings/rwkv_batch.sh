#!/bin/sh
# RWKV answers a batch of prompts otherwise than each prompt alone: transformers 5.19.0, torch 2.13.0.
#
# The prompts are of equal length, so nothing is padded, and greedy, so nothing is drawn. With its
# state, a step of B rows of one token gives logits of shape [B, B, vocabulary] where
# [B, 1, vocabulary] is expected: the shifted token of the state, [B, hidden], is broadcast against
# [B, 1, hidden], so every row is mixed with the others. No error and no warning. With one row, or
# with use_cache=False, the answers are those of plain forward passes.
# Output seen:
#   logits of a step of 2 rows: [2, 2, 320]
#   alone as without a cache: True, in a batch as alone: False
# Exits 0 while that is so, 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu \
    "torch==2.13.0+cpu" "transformers==5.19.0"
cat > "$folder/check.py" <<'PYTHON'
import sys

import torch
from transformers import RwkvConfig, RwkvForCausalLM

torch.manual_seed(0)
config = RwkvConfig(vocab_size=320, hidden_size=128, num_hidden_layers=2, context_length=512)
model = RwkvForCausalLM(config).eval()
for weight in model.parameters():
    weight.data.add_(torch.randn_like(weight), alpha=0.05)
prompts = torch.randint(3, 300, (2, 20))


def answers(rows, **options):
    tokens = model.generate(
        rows, max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=319, **options
    )
    return tokens[:, 20:].tolist()


with torch.inference_mode():
    state = model(prompts, use_cache=True).state
    step = model(torch.tensor([[5], [6]]), state=state).logits
print("logits of a step of 2 rows:", list(step.shape))
alone = [answers(prompts[row : row + 1])[0] for row in range(2)]
plain = [answers(prompts[row : row + 1], use_cache=False)[0] for row in range(2)]
right, batched = alone == plain, answers(prompts) == alone
print(f"alone as without a cache: {right}, in a batch as alone: {batched}")
sys.exit(0 if list(step.shape) == [2, 2, 320] and right and not batched else 1)
PYTHON
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" "$folder/check.py"
