"""Rows of prompt and completion, and pairs of a better and a worse answer to one prompt.

The rows are the user's task data and the pool that a rehearsal draws from; all are JSON Lines or
one JSON array, gzipped or not. Task data may have any of the forms of task_forms.py.
Which task rows are held out for `task.retention` hangs on the prompt alone, so the worker that
measures and the recipe that trains agree without talking to each other, and the same prompt can
never stand on both sides. A bad row is refused by file and line, never skipped.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from holdfast.errors import InvalidTaskData
from holdfast.models.chat_rendering import Turn
from holdfast.repairs.recipes import Kind
from holdfast.repairs.task_forms import RowForm, form_of, turns_of

T = TypeVar("T")

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold it, no tokenizer can read it

GZIP = b"\x1f\x8b"
MAX_BYTES = 1 << 30  # of an unpacked file, which may say little in its own size
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


def held_out(prompt: str) -> bool:
    """Whether rows of this prompt are kept for measuring: sha256(prompt) is 0 mod 10."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()) % HELD_OUT_OF == 0


def read_task_data(path: Path) -> list[Row]:
    """Every row of the user's file, held out or not; keys beyond those of its form are left.

    Raises InvalidTaskData naming the file and the line.
    """
    form: RowForm | None = None

    def task_row(content: dict[str, Any], number: int, place: str) -> Row:
        nonlocal form
        form = form or form_of(content, place)
        *history, (_, prompt), (_, completion) = turns_of(content, form, place)
        return Row(
            _text(prompt, "prompt", place),
            _text(completion, "completion", place),
            "task",
            number,
            tuple((role, _text(words, f"{role} turn", place)) for role, words in history),
        )

    return _read(path, task_row)


def digest_of(path: Path) -> str:
    """64 hex digits of the file's bytes; raises InvalidTaskData if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidTaskData(f"{path} cannot be read: {error.strerror}") from error


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
    return _read(
        path,
        lambda content, number, place: _row(
            content, number, place, _rehearsal_kind(content, place)
        ),
    )


def read_preferences(path: Path) -> list[PreferencePair]:
    """Every pair of the file: "prompt", "chosen", "rejected", and a "margin" if there is one.

    Raises InvalidTaskData naming the file and the line; two equal answers prefer nothing.
    """
    return _read(path, _pair)


def _read(path: Path, made_of: Callable[[dict[str, Any], int, str], T]) -> list[T]:
    rows = [
        made_of(_object(document, place), number, place)
        for document, number, place in _documents(path)
    ]
    if not rows:
        raise InvalidTaskData(f"{path} holds no rows, expected one JSON object a line")
    return rows


def _documents(path: Path) -> Iterator[tuple[Any, int, str]]:
    """Each document of a file, its number and its place: a line's, or an element of one array."""
    text = _file_text(path)
    if text.lstrip().startswith("["):
        for number, element in enumerate(_json(text, str(path)), start=1):
            yield element, number, f"{path}, row {number}"
        return
    for number, line in enumerate(text.split("\n"), start=1):  # U+2028 ends no line of JSON
        if line.strip():
            place = f"{path}, line {number}"
            yield _json(line, place), number, place


def _file_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            zipped = file.read(len(GZIP)) == GZIP
            file.seek(0)
            raw = GzipFile(fileobj=file).read(MAX_BYTES + 1) if zipped else file.read()
        if zipped and len(raw) > MAX_BYTES:
            raise InvalidTaskData(f"{path}: more than {MAX_BYTES} bytes unpacked; give fewer rows")
        return raw.decode("utf-8-sig")
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidTaskData(f"{path} is no whole gzip file ({error}); pack it again") from error
    except OSError as error:
        raise InvalidTaskData(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidTaskData(
            f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidTaskData(
            f"{place}: not JSON ({error}); expected one object a line, or one array of objects"
        ) from error


def _object(content: Any, place: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InvalidTaskData(f"{place}: a {type(content).__name__}, expected an object")
    return content


def _row(content: dict[str, Any], number: int, place: str, kind: Kind) -> Row:
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
        case int() | float() as finite if isfinite(finite):
            margin = float(finite)
        case other:
            raise InvalidTaskData(f"{place}: its margin is {other!r}, expected a finite number")
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
            raise InvalidTaskData(f"{place}: kind is {other!r}, expected 'refusal' or 'answer'")
