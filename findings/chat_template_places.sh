#!/bin/sh
# A chat template that few look for is the one that is used: transformers 5.19.0.
#
# A tokenizer is saved with its template in chat_template.jinja, formerly in tokenizer_config.json, and with those that
# are asked for by name in additional_chat_templates/. But a file `default.jinja` there unseats both, and so does one
# that is called `file.jinja` (its key in the tokenizer's table of files, chat_template_file, is chat_template.jinja's).
# Any other one there unseats the template in tokenizer_config.json, and then there is none. A key `chat_template` in
# special_tokens_map.json unseats all of them, unless tokenizer_config.json has an added_tokens_decoder. A processor of
# the same folder takes chat_template.jinja over default.jinja, and chat_template.json over both (vLLM 0.32.0 goes by
# the processor where a model has one). No error, no warning.
# Output seen:
#   chat_template.jinja, tokenizer_config.json: jinja (processor: jinja)
#   chat_template.jinja, additional default.jinja: default (processor: jinja)
#   tokenizer_config.json, additional default.jinja: default (processor: default)
#   chat_template.jinja, additional file.jinja: file (processor: jinja)
#   tokenizer_config.json, additional rag.jinja: ValueError (processor: None)
#   chat_template.jinja, special_tokens_map.json: tokens (processor: jinja)
#   chat_template.jinja, chat_template.json: jinja (processor: json)
# Exits 0 while that is so, 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --retries 1 "transformers==5.19.0" "jinja2==3.1.6"
cd "$folder"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast, ProcessorMixin

JINJA, CONFIG, TOKENS = "chat_template.jinja", "tokenizer_config.json", "special_tokens_map.json"
OLD = "chat_template.json"
NAMES = {JINJA: "jinja", CONFIG: "config", TOKENS: "tokens", OLD: "json"}
EXPECTED = {
    (JINJA, CONFIG): ("jinja", "jinja"),
    (JINJA, "additional default.jinja"): ("default", "jinja"),
    (CONFIG, "additional default.jinja"): ("default", "default"),
    (JINJA, "additional file.jinja"): ("file", "jinja"),
    (CONFIG, "additional rag.jinja"): ("ValueError", None),
    (JINJA, TOKENS): ("tokens", "jinja"),
    (JINJA, OLD): ("jinja", "json"),
}


def build(folder, places):
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    for place in places:
        file = folder / place.replace("additional ", "additional_chat_templates/")
        file.parent.mkdir(exist_ok=True)
        text = NAMES.get(place, file.stem)
        if place.endswith(".json"):
            old = json.loads(file.read_text()) if file.exists() else {}
            text = json.dumps(old | {"chat_template": text})
        file.write_text(text)


def of_tokenizer(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    try:
        return tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    except ValueError:
        return "ValueError"


def of_processor(folder):
    template = ProcessorMixin.get_processor_dict(folder)[0].get("chat_template")
    return template.get("default") if isinstance(template, dict) else template


same = True
for number, (places, expected) in enumerate(EXPECTED.items()):
    folder = Path(f"layout-{number}")
    build(folder, places)
    tokenizer, processor = of_tokenizer(folder), of_processor(folder)
    print(f"{', '.join(places)}: {tokenizer} (processor: {processor})", flush=True)
    same = same and (tokenizer, processor) == expected
sys.exit(0 if same else 1)
PYTHON
