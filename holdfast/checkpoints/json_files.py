"""JSON of a checkpoint, read before any model library has seen it and believed in nothing.

UTF-8, at most 64 deep, no key twice. A key that asks a loader to run code is refused, or taken out
where the model needs none of that code.
"""

import json
import re
from typing import Any

from holdfast.errors import CheckpointRefused

MAX_JSON_BYTES = 32_000_000
LARGE_JSON = {"tokenizer.json": 64_000_000}  # Gemma 3 and 4 bring 32 to 33 MB
MAX_JSON_DEPTH = 64
CODE_KEYS = frozenset({"auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code"})

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")


def strict_json(raw: bytes, place: str) -> Any:
    """The content of a file; CheckpointRefused also where a key asks for code."""
    content = parse_json(raw, place)
    if asking := code_keys(content):
        raise CheckpointRefused(
            f"{place}: key {min(asking)!r} asks the loader to run code; "
            "use a model type that transformers has built in, and remove the key"
        )
    return content


def parse_json(raw: bytes, place: str) -> Any:
    """The content of a file, whatever its keys ask for."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointRefused(
            f"{place}: not UTF-8 at byte {error.start}; save it again"
        ) from error
    if _depth(text) > MAX_JSON_DEPTH:
        raise CheckpointRefused(f"{place}: JSON nested deeper than {MAX_JSON_DEPTH}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            raise CheckpointRefused(f"{place}: a key stands twice in one object; keep one of them")
        return content

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise CheckpointRefused(
            f"{place}: not JSON, line {error.lineno}: {error.msg}; save it again"
        ) from error
    except CheckpointRefused:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise CheckpointRefused(f"{place}: {error}; save it again") from error


def code_keys(content: Any) -> frozenset[str]:
    """The keys, at any depth, that ask a loader to run code."""
    if isinstance(content, dict):
        return (CODE_KEYS & content.keys()).union(*map(code_keys, content.values()))
    return frozenset().union(*map(code_keys, content)) if isinstance(content, list) else frozenset()


def without_code_keys(content: Any) -> Any:
    """The content without the keys that ask a loader to run code."""
    if isinstance(content, dict):
        return {k: without_code_keys(v) for k, v in content.items() if k not in CODE_KEYS}
    return [without_code_keys(v) for v in content] if isinstance(content, list) else content


def _depth(text: str) -> int:
    """Deepest nesting, by the brackets outside strings: no parser recurses before it is known."""
    deepest = depth = 0
    for bracket in _NOT_BRACKETS.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
