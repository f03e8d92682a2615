"""Rows of prompt and completion, and pairs of a better and a worse answer to one prompt.

The rows are the user's task data and the pool that a rehearsal draws from; all are JSON Lines or
one JSON array, gzipped or not. Task data may have any of the forms of task_forms.py.
Which task rows are held out for `task.retention` hangs on the prompt alone, so the worker that
measures and the recipe that trains agree without talking to each other, and the same prompt can
never stand on both sides. A bad row is refused by file and line, never skipped.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from holdfast.checkpoints.allowed_roots import READ, opened_folder, real_path
from holdfast.checkpoints.json_files import abridged
from holdfast.errors import CheckpointRefused, InvalidTaskData
from holdfast.models.chat_rendering import Turn
from holdfast.plain_files import open_plain, plain
from holdfast.repairs.documents import documents
from holdfast.repairs.recipes import Kind
from holdfast.repairs.task_forms import RowForm, form_of, turns_of

T = TypeVar("T")

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold it, no tokenizer can read it

MAX_MARGIN = 1e300
HELD_OUT_OF = 10  # one prompt in ten is measured on and never trained on


@dataclass(frozen=True, slots=True)
class Row:
    """One exchange; `line` (in an array, the row) counts from 1 in the file it came from.

    `history` is what stands before the prompt in a conversation: a system turn, earlier turns.
    """

    prompt: str
    completion: str
    kind: Kind
    line: int
    history: tuple[Turn, ...] = ()

    @property
    def prompt_turns(self) -> tuple[Turn, ...]:
        """Every turn that the completion answers, the prompt last."""
        return (*self.history, ("user", self.prompt))

    def to_json(self) -> list[Any]:
        """The row's identity as JSON: [prompt, completion], and the history where there is one."""
        return [self.prompt, self.completion, *([list(self.history)] if self.history else [])]


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two answers to one prompt, the better one first; `margin` is by how much, where it is known.

    The margin is a difference of quality scores, in whatever unit they have.
    """

    prompt: str
    chosen: str
    rejected: str
    margin: float | None
    line: int


@dataclass(frozen=True, slots=True)
class TaskFile:
    """The user's task data, read once in full."""

    path: Path
    sha256: str


def held_out(prompt: str) -> bool:
    """Whether rows of this prompt are kept for measuring: sha256(prompt) is 0 mod 10."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()) % HELD_OUT_OF == 0


def read_task_data(path: Path) -> list[Row]:
    """Every row of the user's file, held out or not; keys beyond those of its form are left.

    Raises InvalidTaskData naming the file and the line.
    """
    with _opened(path) as file:
        return _all(_task_rows(file, path), path)


def admit_task_data(named: str, roots: Sequence[Path]) -> TaskFile:
    """Read every row of a file under one of the roots, and hash what was read.

    Raises InvalidTaskData where it lies elsewhere, or one of its rows is none.
    """
    try:
        path = real_path(Path(named))
        if not any(path.is_relative_to(root.resolve()) for root in roots):
            raise InvalidTaskData(
                f"{named} does not exist or lies outside the allowed roots "
                f"({', '.join(map(str, roots))}); move it there, or have its folder added: "
                "`holdfast up --root DIR` on one machine, HOLDFAST_CHECKPOINT_ROOTS on a server"
            )
        if not path.exists():
            raise InvalidTaskData(f"{named} does not exist; give the path of the task data")
        with opened_folder(path.parent, roots) as folder:
            descriptor = os.open(path.name, READ, dir_fd=folder)
        with plain(descriptor, str(path), InvalidTaskData) as file:
            if sum(1 for _ in _task_rows(file, path)) == 0:
                raise _no_rows(path)
            file.seek(0)
            return TaskFile(path, hashlib.file_digest(file, "sha256").hexdigest())
    except CheckpointRefused as error:
        raise InvalidTaskData(str(error)) from error
    except OSError as error:
        raise InvalidTaskData(f"{named} cannot be read: {error.strerror}") from error


def _task_rows(file: BufferedReader, path: Path) -> Iterator[Row]:
    form: RowForm | None = None
    for document, number, place in documents(file, path):
        content = _object(document, place)
        form = form or form_of(content, place)
        *history, (_, prompt), (_, completion) = turns_of(content, form, place)
        yield Row(
            _text(prompt, "prompt", place),
            _text(completion, "completion", place),
            "task",
            number,
            tuple((role, _text(words, f"{role} turn", place)) for role, words in history),
        )


def digest_of(path: Path) -> str:
    """64 hex digits of the file's bytes; raises InvalidTaskData if it cannot be read."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows_digest(rows: Iterable[Row]) -> str:
    """64 hex digits over rows in order: one JSON array [prompt, completion] a line.

    A row's history is a third element of it, where there is one.
    Of the held-out rows it says which questions were asked, whatever else the file trains on.
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row.to_json()).encode() + b"\n")
    return digest.hexdigest()


def read_rehearsal(path: Path) -> list[Row]:
    """Every row of a rehearsal pool, each marked "kind": "refusal" or "answer"."""
    return read_objects(
        path,
        lambda content, number, place: row_of(
            content, number, place, _rehearsal_kind(content, place)
        ),
    )


def read_preferences(path: Path) -> list[PreferencePair]:
    """Every pair of the file: "prompt", "chosen", "rejected", and a "margin" if there is one.

    Raises InvalidTaskData naming the file and the line; two equal answers prefer nothing.
    """
    return read_objects(path, _pair)


def read_objects(path: Path, made_of: Callable[[dict[str, Any], int, str], T]) -> list[T]:
    """Make something of every object of a file, with its number and its place in words."""
    with _opened(path) as file:
        rows = (
            made_of(_object(document, place), number, place)
            for document, number, place in documents(file, path)
        )
        return _all(rows, path)


def _opened(path: Path) -> BufferedReader:
    try:
        return open_plain(path, InvalidTaskData)
    except OSError as error:
        raise InvalidTaskData(f"{path} cannot be read: {error.strerror}") from error


def _all(rows: Iterable[T], path: Path) -> list[T]:
    if every := list(rows):
        return every
    raise _no_rows(path)


def _no_rows(path: Path) -> InvalidTaskData:
    return InvalidTaskData(f"{path} holds no rows, expected one JSON object a line")


def _object(content: Any, place: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InvalidTaskData(f"{place}: a {type(content).__name__}, expected an object")
    return content


def row_of(content: dict[str, Any], number: int, place: str, kind: Kind) -> Row:
    """The row of a "prompt" and a "completion"; InvalidTaskData where one is missing."""
    prompt, completion = (_text_at(content, key, place) for key in ("prompt", "completion"))
    return Row(prompt, completion, kind, number)


def _pair(content: dict[str, Any], number: int, place: str) -> PreferencePair:
    prompt, chosen, rejected = (
        _text_at(content, key, place) for key in ("prompt", "chosen", "rejected")
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
        case int() | float() as finite if abs(finite) <= MAX_MARGIN:
            margin = float(finite)
        case other:
            raise InvalidTaskData(
                f"{place}: its margin is {abridged(other)}, expected a finite number"
            )
    return PreferencePair(prompt, chosen, rejected, margin, number)


def _text_at(content: dict[str, Any], key: str, place: str) -> str:
    return _text(content.get(key), key, place)


def _text(words: Any, key: str, place: str) -> str:
    match words:
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
            raise InvalidTaskData(
                f"{place}: kind is {abridged(other)}, expected 'refusal' or 'answer'"
            )
