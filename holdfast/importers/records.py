"""Published files as records: CSV, TSV, JSON Lines or one JSON array, gzipped or not.

A record knows the file and the line that it stands on, so that whatever is wrong with it can be
said where it is. Column names are compared as `best_answer`, since mirrors of one set differ in
case and spaces. A file that cannot be read to its end is refused whole: half a suite is another
suite.
"""

import csv
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from gzip import BadGzipFile, GzipFile
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path
from typing import Any

from holdfast.errors import InvalidSuite
from holdfast.plain_files import read_plain

MAX_BYTES = 256 << 20  # of a file, unpacked
CHUNK = 1 << 20
LABELS = ".lst"  # one label a line, for the rows of the file named before it (PIQA)
SEPARATORS = {".csv": ",", ".tsv": "\t"}
UNREADABLE = (".parquet", ".arrow", ".zip", ".tar", ".xlsx")

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold it, no tokenizer can read it
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Record:
    """One row; `number` counts from 1 through all files, `stem` is its file's bare name."""

    place: str
    stem: str
    number: int
    fields: dict[str, Any]

    def text(self, *columns: str) -> str:
        """The text of the first of these columns that is there, without white space around it."""
        column, value = self._first(columns)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise self.wrong(f"{column} is {_kind(value)}, expected text")
        if not value.strip():
            raise self.wrong(f"{column} is empty")
        if _HALF_SURROGATE.search(value):
            raise self.wrong(f"{column} holds half a surrogate pair")
        return value.strip()

    def maybe(self, column: str) -> str:
        """The text of a column that may be empty or absent."""
        value = self.fields.get(column)
        return "" if value is None or str(value).strip() == "" else self.text(column)

    def texts(self, *columns: str) -> tuple[str, ...]:
        """A column that holds a list of texts, none of them empty."""
        column, value = self._first(columns)
        if not isinstance(value, list) or not value:
            raise self.wrong(f"{column} is {_kind(value)}, expected a list of texts")
        if not all(isinstance(text, str) and text.strip() for text in value):
            raise self.wrong(f"{column} holds something that is no text, or an empty one")
        return tuple(text.strip() for text in value)

    def value(self, *columns: str) -> Any:
        """The first of these columns that is there, whatever it holds."""
        return self._first(columns)[1]

    def keyword(self, column: str, expected: Sequence[str]) -> str:
        """A column that holds one of a few words, in any case."""
        word = self.text(column).lower()
        if word not in expected:
            raise self.wrong(f"{column} is {word!r:.40}, expected {', '.join(expected)}")
        return word

    def wrong(self, what: str) -> InvalidSuite:
        """The error that names this row's file and line."""
        return InvalidSuite(f"{self.place}: {what}")

    def _first(self, columns: Sequence[str]) -> tuple[str, Any]:
        for column in columns:
            if self.fields.get(column) is not None:
                return column, self.fields[column]
        raise self.wrong(
            f"no {' or '.join(columns)}, found {', '.join(self.fields) or 'nothing':.200}"
        )


def read_records(files: Sequence[Path], header: Sequence[str] | None = None) -> list[Record]:
    """The records of all files in order; `header` names the columns of a CSV that lacks its own.

    Raises InvalidSuite that names the file, and the line where there is one.
    """
    records: list[Record] = []
    numbers = count(1)
    begin = 0  # of the last file's rows
    for path in files:
        if path.suffix == LABELS:
            records[begin:] = _add_labels(records[begin:], path)
            continue
        file_records = [
            Record(f"{path}:{line}", _stem(path), next(numbers), fields)
            for line, fields in _rows(path, header)
        ]
        if not file_records:
            raise InvalidSuite(f"{path} holds no rows")
        begin = len(records)
        records += file_records
    return records


def _rows(path: Path, header: Sequence[str] | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, fields) of one file, by its name where that says CSV, else by its first character."""
    text = _content(path)
    separator = SEPARATORS.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)
    if separator:
        return _csv(path, text, separator, header)
    return _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)


def _content(path: Path) -> str:
    if path.suffix in UNREADABLE:
        raise InvalidSuite(f"{path} is {path.suffix}, expected CSV, TSV, JSON or JSON Lines")
    try:
        content = read_plain(path, MAX_BYTES, InvalidSuite)
        if path.suffix == ".gz":
            content = _unpacked(content, path)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidSuite(f"{path}:{line}: not UTF-8 text; save it as UTF-8") from error
    except (EOFError, zlib.error, BadGzipFile) as error:
        raise InvalidSuite(f"{path} is no whole gzip file ({error})") from error
    except OSError as error:
        raise InvalidSuite(f"{path} cannot be read: {error.strerror}") from error


def _unpacked(content: bytes, path: Path) -> bytes:
    pieces, size = [], 0
    with GzipFile(fileobj=BytesIO(content)) as file:
        while piece := file.read(CHUNK):
            pieces.append(piece)
            if (size := size + len(piece)) > MAX_BYTES:
                raise InvalidSuite(f"{path}: more than {MAX_BYTES} bytes unpacked; give fewer rows")
    return b"".join(pieces)


def _csv(
    path: Path, text: str, separator: str, header: Sequence[str] | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] = []
    start = 1
    try:
        for row in reader:
            line, start = start, reader.line_num + 1
            if not row:
                continue
            if not names:
                names = [_plain(name) for name in row]
                if header and names[: len(header)] != list(header):
                    names = list(header)
                else:
                    _refuse_repeated(names, f"{path}:{line}")
                    continue
            if len(row) != len(names):
                raise InvalidSuite(
                    f"{path}:{line}: found {len(row)} columns, expected {len(names)} "
                    f"({', '.join(names):.200})"
                )
            yield line, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise InvalidSuite(f"{path}:{start}: not CSV from here on ({error})") from error


def _refuse_repeated(names: Sequence[str], place: str) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidSuite(f"{place}: the column {repeated[0]!r:.60} stands twice")


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):  # U+2028 ends no line of JSON
        if line.strip():
            try:
                content = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InvalidSuite(
                    f"{path}:{number}: not JSON ({error}); expected one object a line"
                ) from error
            yield number, _object(content, f"{path}:{number}")


def _array(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of one JSON array, each with the line that it begins on."""
    decoder = json.JSONDecoder()
    at, line, counted = text.index("[") + 1, 1, 0
    while True:
        at = _end(_BETWEEN.match(text, at))
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            break
        try:
            content, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InvalidSuite(f"{path}:{line}: not JSON from here on ({error})") from error
        yield line, _object(content, f"{path}:{line}")
    if text[at + 1 :].strip():
        raise InvalidSuite(f"{path}:{line}: something follows the end of the array")


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0


def _object(content: Any, place: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InvalidSuite(f"{place}: found {_kind(content)}, expected an object")
    return {_plain(key): value for key, value in content.items()}


def _add_labels(rows: Sequence[Record], path: Path) -> list[Record]:
    """The rows of the file named before `path`, each with its label."""
    labels = _content(path).split()
    if len(rows) != len(labels):
        raise InvalidSuite(
            f"{path} holds {len(labels)} labels for {len(rows)} rows; name it after its rows' file"
        )
    return [
        replace(row, fields={**row.fields, "label": label})
        for row, label in zip(rows, labels, strict=True)
    ]


def _plain(column: str) -> str:
    return column.strip().lower().replace(" ", "_")


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
