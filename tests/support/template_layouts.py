"""Places in which a folder can hold a chat template, each with the text that is rendered by.

`RENDERED` are folders of which one text can be told; `REFUSED` those of which it cannot, each with
what the installed tokenizer makes of it (a text, None or ERROR) and the words of the refusal. A
dictionary for `tokenizer_config.json` is put into the one that the tokenizer has.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

Layout = Mapping[str, Any]

ERROR = "the library raises"
JINJA, CONFIG, MORE = "chat_template.jinja", "tokenizer_config.json", "additional_chat_templates/"
J = "{{ 'J' }}{{ messages[0]['content'] }}\n"
C = "{{ 'C' }}{{ messages[0]['content'] }}"
A = "{{ 'A' }}{{ messages[0]['content'] }}"
R = "{{ documents }}"


def of_processor(template: object) -> str:
    """The file in which a processor has its template."""
    return json.dumps({"chat_template": template})


def named(**templates: str) -> dict[str, Any]:
    """A config with a list of named templates."""
    entries = [{"name": name, "template": text} for name, text in templates.items()]
    return {"chat_template": entries}


RENDERED: list[tuple[str, Layout, str | None]] = [
    ("none", {}, None),
    ("null", {CONFIG: {"chat_template": None}}, None),
    ("jinja", {JINJA: J}, J),
    ("config", {CONFIG: {"chat_template": C}}, C),
    ("a list", {CONFIG: named(tool_use="T", default=C, rag=R)}, C),
    ("jinja over config", {JINJA: J, CONFIG: {"chat_template": C}}, J),
    ("jinja over a list", {JINJA: J, CONFIG: named(rag=R)}, J),
    ("additional default", {f"{MORE}default.jinja": A}, A),
    ("it unseats the config", {f"{MORE}default.jinja": A, CONFIG: {"chat_template": C}}, A),
    ("jinja has the same", {f"{MORE}default.jinja": A, JINJA: A, CONFIG: named(rag=R)}, A),
    ("jinja is empty", {f"{MORE}default.jinja": A, JINJA: ""}, A),
    (
        "several",
        {f"{MORE}default.jinja": A, f"{MORE}rag.jinja": R, f"{MORE}tool_use.jinja": "T"},
        A,
    ),
    ("jinja and others", {f"{MORE}rag.jinja": R, JINJA: J}, J),
    ("deeper", {f"{MORE}old/default.jinja": A, JINJA: J}, J),
    ("no template's name", {f"{MORE}default.txt": A, f"{MORE}Default.jinja": A, JINJA: J}, J),
    ("a folder inside", {"tokenizer/chat_template.jinja": A, CONFIG: {"chat_template": C}}, C),
    (
        "processor has the same",
        {"chat_template.json": of_processor(C), CONFIG: named(default=C)},
        C,
    ),
    ("its config has the same", {"processor_config.json": of_processor(J), JINJA: J}, J),
    (
        "processor has none",
        {"processor_config.json": "{}", "chat_template.json": of_processor(None), JINJA: J},
        J,
    ),
    ("empty", {JINJA: "", CONFIG: {"chat_template": C}}, ""),
    ("empty config", {CONFIG: {"chat_template": ""}}, ""),
    ("BOM", {JINJA: f"\ufeff{J}".encode()}, f"\ufeff{J}"),
    ("CRLF", {JINJA: b"{{ messages }}\r\nb\rc\n"}, "{{ messages }}\nb\nc\n"),
    ("CRLF in the config", {CONFIG: {"chat_template": "{{ messages }}\r\n"}}, "{{ messages }}\r\n"),
    ("beyond ASCII", {JINJA: "{{ messages }}é水\u2028🍵"}, "{{ messages }}é水\u2028🍵"),
]

REFUSED: list[tuple[str, Layout, str | None, str]] = [
    ("a list without default", {CONFIG: named(rag=R)}, ERROR, "without one named 'default'"),
    ("an empty list", {CONFIG: named()}, ERROR, "without one named 'default'"),
    ("no text", {CONFIG: {"chat_template": {"default": C}}}, C, "chat_template is no text"),
    (
        "a name twice",
        {CONFIG: {"chat_template": named(default=C)["chat_template"] * 2}},
        C,
        "two chat templates are named 'default'",
    ),
    (
        "no entry",
        {CONFIG: {"chat_template": [{"name": "default", "template": C}, {"name": "rag"}]}},
        ERROR,
        "{'name': 'rag'} is in the list of chat templates",
    ),
    ("others", {f"{MORE}rag.jinja": R}, ERROR, "templates without one named 'default'"),
    (
        "others and config",
        {f"{MORE}rag.jinja": R, CONFIG: {"chat_template": C}},
        ERROR,
        "templates: a list of chat templates without one named 'default'",
    ),
    (
        "two defaults",
        {f"{MORE}default.jinja": A, JINJA: J},
        A,
        "chat_template.jinja holds a chat template that processors and vLLM take",
    ),
    (
        "a template called file",
        {f"{MORE}file.jinja": A, JINJA: J},
        A,
        "takes a template of this name for chat_template.jinja",
    ),
    ("a name as text", {f"{MORE}rag.jinja": R, JINJA: "rag"}, "rag", "is the name of one, 'rag'"),
    ("a processor's", {"chat_template.json": of_processor(J)}, None, "chat_template.json holds a"),
    (
        "another of a processor",
        {"chat_template.json": of_processor(J), CONFIG: {"chat_template": C}},
        C,
        "chat_template.json holds a chat template that processors and vLLM take",
    ),
    (
        "another of its config",
        {"processor_config.json": of_processor(J), "chat_template.json": of_processor(C)}
        | {CONFIG: {"chat_template": C}},
        C,
        "processor_config.json holds a chat template that processors and vLLM take",
    ),
    ("its config alone", {"processor_config.json": of_processor(J)}, None, "processor_config.json"),
    (
        "no text of a processor",
        {"chat_template.json": of_processor([C]), JINJA: C},
        C,
        "chat_template.json: chat_template is no text",
    ),
    (
        "a processor's and others",
        {"chat_template.json": of_processor(J), JINJA: J, f"{MORE}rag.jinja": R},
        J,
        "and no processor loads both",
    ),
    (
        "among the tokens",
        {"special_tokens_map.json": of_processor(A), JINJA: J},
        A,
        "special_tokens_map.json: key 'chat_template' would replace",
    ),
    (
        "null among the tokens",
        {"special_tokens_map.json": of_processor(None), CONFIG: {"chat_template": C}},
        None,
        "special_tokens_map.json: key 'chat_template' would replace",
    ),
    ("not UTF-8", {JINJA: b"\xff"}, ERROR, "chat_template.jinja is not UTF-8"),
    ("another not UTF-8", {f"{MORE}r.jinja": b"\xff", JINJA: J}, ERROR, "r.jinja is not UTF-8"),
]


def write_layout(folder: Path, layout: Layout) -> Path:
    """Add the files to a folder that holds a tokenizer."""
    for name, content in layout.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            file.write_text(json.dumps(json.loads(file.read_text()) | content))
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def save_tokenizer(folder: Path) -> Path:
    """A tokenizer of two words, without a template, as transformers saves it."""
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    return folder
