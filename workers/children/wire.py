"""The protocol of the supervisor and its runner: one JSON object a line, both ways.

    request  → {"do": "backend" | "open" | "generate" | "logprobs" | "close", …}
    answer   ← {"index": 3, "reply": {…}}                as they come, in any order
    end      ← {"done": true, "notes": ["…"]}  |  {"error": "CheckpointRefused", "detail": "…"}

One request at a time. An end of file on either side is the end of the other process.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import IO, Any

from holdfast.probes.engine import Completion, Continuation, Message, Prompt, Score


def send(pipe: IO[str], document: dict[str, Any]) -> None:
    """Write one line; NaN and infinities pass, since both ends are ours."""
    pipe.write(json.dumps(document) + "\n")
    pipe.flush()


def receive(pipe: IO[str]) -> dict[str, Any] | None:
    """Read one line; None at the end, and for a line that was cut off by it."""
    line = pipe.readline()
    if not line.endswith("\n"):
        return None
    document: dict[str, Any] = json.loads(line)
    return document


def prompt_to_json(prompt: Prompt) -> Any:
    """Raw text as a string, a conversation as a list of [role, content, tokens]."""
    if isinstance(prompt, str):
        return prompt
    return [[message.role, message.content, message.tokens] for message in prompt]


def prompt_from_json(document: Any) -> Prompt:
    """The inverse of `prompt_to_json`."""
    if isinstance(document, str):
        return document
    return tuple(Message(*turn) for turn in document)


def continuations_to_json(continuations: Sequence[Continuation]) -> list[Any]:
    """Continuations as [prompt, text]."""
    return [
        [prompt_to_json(continuation.prompt), continuation.text] for continuation in continuations
    ]


def continuations_from_json(document: list[Any]) -> list[Continuation]:
    """The inverse of `continuations_to_json`."""
    return [Continuation(prompt_from_json(prompt), text) for prompt, text in document]


def texts_of(document: Any) -> Iterator[str]:
    """Every text in the lists of a request."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, list):
        for entry in document:
            yield from texts_of(entry)


def reply_to_json(index: int, reply: Completion | Score) -> dict[str, Any]:
    """One answer's line."""
    return {"index": index, "reply": asdict(reply)}
