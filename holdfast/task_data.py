"""Rows of prompt and completion, and pairs of a better and a worse answer to one prompt.

The rows are the user's task data and the pool that a rehearsal draws from; all are JSON Lines.
Which task rows are held out for `task.retention` hangs on the prompt alone, so the worker that
measures and the recipe that trains agree without talking to each other, and the same prompt can
never stand on both sides. A bad row is refused by file and line, never skipped.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeVar

from holdfast.errors import InvalidTaskData

Kind = Literal["task", "refusal", "answer"]
T = TypeVar("T")

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold it, no tokenizer can read it

HELD_OUT_OF = 10  # one prompt in ten is measured on and never trained on


@dataclass(frozen=True, slots=True)
class Row:
    """One exchange; `line` counts from 1 in the file it came from."""

    prompt: str
    completion: str
    kind: Kind
    line: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, the better one first; `margin` is by how much, where it is known.

    The margin is a difference of quality scores, in whatever unit they have.
    """

    prompt: str
    chosen: str
    rejected: str
    margin: float | None
    line: int


def held_out(prompt: str) -> bool:
    """Whether rows of this prompt are kept for measuring: sha256(prompt) is 0 mod 10."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()) % HELD_OUT_OF == 0


def read_task_data(path: Path) -> list[Row]:
    """Every row of the user's file, held out or not; keys beyond prompt and completion are left.

    Raises InvalidTaskData naming the file and the line.
    """
    return _read(path, lambda content, number, place: _row(content, number, place, "task"))


def digest_of(path: Path) -> str:
    """64 hex digits of the file's bytes; raises InvalidTaskData if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidTaskData(f"{path} cannot be read: {error.strerror}") from error


def rows_digest(rows: Iterable[Row]) -> str:
    """64 hex digits over rows in order: one JSON array [prompt, completion] a line.

    Of the held-out rows it says which questions were asked, whatever else the file trains on.
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.prompt, row.completion]).encode() + b"\n")
    return digest.hexdigest()


def read_rehearsal(path: Path) -> list[Row]:
    """Every row of a rehearsal pool, each marked "kind": "refusal" or "answer"."""
    return _read(
        path,
        lambda content, number, place: _row(
            content, number, place, _rehearsal_kind(content, place)
        ),
    )


def read_preferences(path: Path) -> list[Pair]:
    """Every pair of the file: "prompt", "chosen", "rejected", and a "margin" if there is one.

    Raises InvalidTaskData naming the file and the line; two equal answers prefer nothing.
    """
    return _read(path, _pair)


def _read(path: Path, made_of: Callable[[dict[str, Any], int, str], T]) -> list[T]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidTaskData(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidTaskData(
            f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error
    rows = [
        made_of(_object(line, f"{path}, line {number}"), number, f"{path}, line {number}")
        for number, line in enumerate(text.split("\n"), start=1)  # U+2028 ends no line of JSON
        if line.strip()
    ]
    if not rows:
        raise InvalidTaskData(f"{path} holds no rows, expected one JSON object a line")
    return rows


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidTaskData(f"{place}: not JSON ({error}); expected one object a line") from error
    if not isinstance(content, dict):
        raise InvalidTaskData(f"{place}: a {type(content).__name__}, expected an object")
    return content


def _row(content: dict[str, Any], number: int, place: str, kind: Kind) -> Row:
    prompt, completion = _text(content, "prompt", place), _text(content, "completion", place)
    return Row(prompt, completion, kind, number)


def _pair(content: dict[str, Any], number: int, place: str) -> Pair:
    prompt, chosen, rejected = (
        _text(content, key, place) for key in ("prompt", "chosen", "rejected")
    )
    if chosen.strip() == rejected.strip():
        raise InvalidTaskData(
            f"{place}: chosen and rejected are the same answer, which prefers nothing; "
            "remove the pair"
        )
    match content.get("margin"):
        case None:
            margin = None
        case bool():
            raise InvalidTaskData(f"{place}: its margin is a bool, expected a number")
        case int() | float() as number_given if isfinite(number_given):
            margin = float(number_given)
        case other:
            raise InvalidTaskData(f"{place}: its margin is {other!r}, expected a finite number")
    return Pair(prompt, chosen, rejected, margin, number)


def _text(content: dict[str, Any], key: str, place: str) -> str:
    match content.get(key):
        case str(text) if _HALF_SURROGATE.search(text):
            raise InvalidTaskData(f"{place}: its {key} holds half a surrogate pair; repair it")
        case str(text) if text.strip():
            return text
        case str():
            raise InvalidTaskData(f"{place}: its {key} is empty; write one or remove the row")
        case None:
            raise InvalidTaskData(f"{place}: no {key}; every row needs one")
        case other:
            raise InvalidTaskData(f"{place}: its {key} is a {type(other).__name__}, expected text")


def _rehearsal_kind(content: dict[str, Any], place: str) -> Kind:
    match content.get("kind"):
        case "refusal":
            return "refusal"
        case "answer":
            return "answer"
        case other:
            raise InvalidTaskData(f"{place}: kind is {other!r}, expected 'refusal' or 'answer'")
