"""JSON of a checkpoint, read before any model library has seen it and believed in nothing.

UTF-8, at most 64 deep, no key twice, no more values and no longer numbers than a tokenizer has. All
of that is counted in the bytes, before a parser makes objects of them. A key that asks a loader to
run code is refused, or taken out where the model needs none of that code.
"""

import json
import re
from reprlib import Repr
from typing import Any

from holdfast.errors import CheckpointRefused

MAX_JSON_BYTES = 32_000_000
LARGE_JSON = {"tokenizer.json": 64_000_000}  # Gemma 3 and 4 bring 32 to 33 MB
MAX_JSON_DEPTH = 64
MAX_JSON_VALUES = 3_000_000  # keys and values; 2.2 million in the tokenizers of Gemma 3 and 4
MAX_DIGITS = 100  # without a point between them; `model_max_length` is often one of 31
CODE_KEYS = frozenset({"auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code"})

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 2


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
    bare = without_strings(raw)
    if depth_of(bare) > MAX_JSON_DEPTH:
        raise CheckpointRefused(f"{place}: JSON nested deeper than {MAX_JSON_DEPTH}")
    if sum(map(bare.count, (b",", b":", b"[", b"{"))) > MAX_JSON_VALUES:
        raise CheckpointRefused(f"{place}: JSON of more than {MAX_JSON_VALUES} values")
    refuse_long_numbers(bare, MAX_DIGITS, place)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointRefused(
            f"{place}: not UTF-8 at byte {error.start}; save it again"
        ) from error

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


def without_strings(raw: bytes) -> bytes:
    """JSON without its strings: brackets, commas and numbers are left."""
    return _STRING.sub(b"", raw)


def depth_of(bare: bytes) -> int:
    """Deepest nesting, by the brackets outside strings: no parser recurses before it is known."""
    deepest = depth = 0
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > deepest:
            deepest = depth
            if deepest > MAX_JSON_DEPTH:
                break
    return deepest


def refuse_long_numbers(bare: bytes, digits: int, place: str) -> None:
    """Raise CheckpointRefused for a number that costs more to read than any real one."""
    if re.search(rb"[0-9]{%d}" % (digits + 1), bare):
        raise CheckpointRefused(f"{place}: a number of more than {digits} digits; save it again")


def abridged(value: object) -> str:
    """A foreign value as Python writes it, cut where it is long: it may be megabytes."""
    return _SHORT.repr(value)


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
