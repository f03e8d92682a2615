"""A file of rows as the JSON documents in it: JSON Lines or one JSON array, gzipped or not.

One document is in memory at a time: a file may hold a gigabyte, and a packed one far more than its
size tells.
"""

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from gzip import BadGzipFile, GzipFile
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any

from holdfast.errors import InvalidTaskData

GZIP = b"\x1f\x8b"
MAX_BYTES = 1 << 30  # of a file, unpacked
MAX_LINES = 10_000_000
MAX_ROW = 2 << 20  # characters: half a million tokens, more than any model learns at once
CHUNK = 1 << 20

FIRST, NEXT = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*"), re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
END, EMPTY = (
    re.compile(r"[ \t\r\n]*\][ \t\r\n]*"),
    re.compile(r"[ \t\r\n]*\[[ \t\r\n]*\][ \t\r\n]*"),
)

Document = tuple[Any, int, str]  # what it holds, its number, its place


def documents(file: BufferedReader, path: Path) -> Iterator[Document]:
    """Each document of an open file, its number and its place: a line's, or an array's row.

    Raises InvalidTaskData naming the file and the place.
    """
    try:
        zipped = file.read(len(GZIP)) == GZIP
        file.seek(0)
        pieces = _pieces(GzipFile(fileobj=file) if zipped else file, path)
        first = next(pieces)
        form = _array if first.lstrip().startswith("[") else _lines
        yield from form(chain([first], pieces), path)
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidTaskData(f"{path} is no whole gzip file ({error}); pack it again") from error
    except OSError as error:
        raise InvalidTaskData(f"{path} cannot be read: {error.strerror}") from error


def _pieces(file: BufferedReader | GzipFile, path: Path) -> Iterator[str]:
    """The text of a file, piece by piece, at least one."""
    decoder, size, raw = codecs.getincrementaldecoder("utf-8-sig")(), 0, b"\n"
    while raw:
        raw = file.read(CHUNK)
        size += len(raw)
        if size > MAX_BYTES:
            raise InvalidTaskData(f"{path}: more than {MAX_BYTES} bytes unpacked; give fewer rows")
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            place = size - len(error.object) + error.start
            raise InvalidTaskData(
                f"{path} is not UTF-8 at byte {place}; save it as UTF-8"
            ) from error
        yield text


def _lines(pieces: Iterator[str], path: Path) -> Iterator[Document]:
    number, rest = 0, ""
    for piece in chain(pieces, ["\n"]):
        *lines, rest = (rest + piece).split("\n")  # U+2028 ends no line of JSON
        for number, line in enumerate(lines, start=number + 1):  # noqa: B020  # goes on
            if line.strip():
                place = f"{path}, line {number}"
                yield _json(line, place), number, place
        if number > MAX_LINES:
            raise InvalidTaskData(f"{path}: more than {MAX_LINES} lines; give fewer rows")
        _refuse_long(rest, f"{path}, line {number + 1}")


def _array(pieces: Iterator[str], path: Path) -> Iterator[Document]:
    number, text, before = 1, "", FIRST
    for piece in pieces:
        text, at = text + piece, 0
        while (start := before.match(text, at)) and start.end() < len(text):
            try:
                element, at = json.JSONDecoder().raw_decode(text, start.end())
            except (ValueError, RecursionError):
                break  # what is missing may come, and what is wrong stays so
            yield element, number, f"{path}, row {number}"
            number, before = number + 1, NEXT
        text = text[at:]
        _refuse_long(text, f"{path}, row {number}")
    if not (EMPTY if before is FIRST else END).fullmatch(text):
        start = before.match(text)
        _json(text[start.end() :] if start else text, f"{path}, row {number}")
        raise InvalidTaskData(f"{path}, row {number}: not JSON; expected one array of objects")


def _refuse_long(text: str, place: str) -> None:
    if len(text) > MAX_ROW:
        raise InvalidTaskData(
            f"{place}: no whole JSON object in {MAX_ROW} characters; remove the row, or mend it"
        )


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidTaskData(
            f"{place}: not JSON ({error}); expected one object a line, or one array of objects"
        ) from error
