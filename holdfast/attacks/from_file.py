"""Attacks that an operator brings along: templates from the wild, suffixes found by a search.

A file is a JSON array of strings, the form in which collections of jailbreak prompts are published
and which our own search writes. A text is known by eight digits of its digest, so that its answers
can be told apart in any report.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from holdfast.errors import InvalidSettings
from holdfast.plain_files import read_plain

PLACE = "[INSERT PROMPT HERE]"
MAX_BYTES = 32 << 20  # of a file of texts
MAX_CHARACTERS = 4000  # of a template: with request and answer it must fit into 2,048 tokens
PER_ITEM = 5  # templates that one request is put into


def read_texts(path: Path) -> dict[str, str]:
    """The file's texts by name, in the order of their names, repeated ones once.

    Raises InvalidSettings where it cannot be read or is not a JSON array of texts.
    """
    try:
        texts = json.loads(read_plain(path, MAX_BYTES, InvalidSettings))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSettings(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(texts, list) or not texts:
        raise InvalidSettings(f"{path}: expected a JSON array of texts, at least one")
    for place, text in enumerate(texts, start=1):
        if not (isinstance(text, str) and text.strip()):
            raise InvalidSettings(f"{path}: entry {place} is no text, expected a non-empty string")
    return dict(sorted((hashlib.sha256(text.encode()).hexdigest()[:8], text) for text in texts))


def texts_digest(texts: Mapping[str, str]) -> str:
    """64 hex digits over the texts that a file brought along."""
    return hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode()).hexdigest()


def templates_for(request: str, texts: Mapping[str, str]) -> dict[str, str]:
    """The request in some of the templates: which ones, its own digest says.

    Put in the template's place for it, or else behind it. Templates that are too long to be asked
    and answered are left out for every request alike.
    """
    fitting = [name for name, text in texts.items() if len(text) <= MAX_CHARACTERS]
    ranked = sorted(fitting, key=lambda name: hashlib.sha256(f"{name}{request}".encode()).digest())
    return {name: _fill(texts[name], request) for name in ranked[:PER_ITEM]}


def _fill(template: str, request: str) -> str:
    if PLACE in template:
        return template.replace(PLACE, request)
    return f"{template}\n\n{request}"
