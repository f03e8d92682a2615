"""Suites: versioned items, known by a digest over their canonical bytes.

The built-in ones lie beside this file as JSON Lines, one item a line, written by
`tools/suites/build.py`. Probes and the rehearsal pool draw from the same sources, and only a shared
owner can promise that they never meet: `screen` gates, `confirm` gates repairs and is opened last,
`rehearsal` trains. Requests only; a suite never holds an answer to a harmful one.

Installed ones lie in a folder of the user's (HOLDFAST_HOME/suites) in the same form, one type of
row a file, and never shadow a built-in one.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from pydantic import ValidationError

from holdfast.errors import InvalidSuite, first_problem
from holdfast.job import Split
from holdfast.plain_files import read_plain_text
from holdfast.suites.items import (
    FORMS,
    Choice,
    LastWord,
    Pair,
    PreferenceItem,
    Request,
    Row,
    Rows,
    Secret,
    SuiteItem,
)

__all__ = [
    "BUILT_IN",
    "HERE",
    "SUITE_NAME",
    "Choice",
    "LastWord",
    "LoadedSuite",
    "Pair",
    "PreferenceItem",
    "Request",
    "Row",
    "Rows",
    "Secret",
    "SuiteItem",
    "canonical",
    "form_of",
    "installed_names",
    "load_suite",
    "parse_item",
    "read_suite",
    "select",
    "suite_digest",
]

HERE = Path(__file__).parent
MAX_BYTES = 100_000_000  # of a suite: more than any of the imported ones
SUITE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")  # a file's name on every system


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """Items in file order; `digest` is 64 hex digits over their canonical bytes."""

    name: str
    digest: str
    items: tuple[Row, ...]


BUILT_IN: dict[str, type[Row]] = {
    "harmful": Request,
    "benign": Request,
    "groups": Choice,
    "knowledge": Choice,
    "arithmetic": Request,
    "rehearsal": Request,
    "pairs": Pair,
    "passages": LastWord,
    "secrets": Secret,
    "openings": Request,
    "everyday": Request,
}


def load_suite(name: str, installed: Path | None = None) -> LoadedSuite:
    """A suite by name: a built-in one, or one of the folder `installed`.

    Raises InvalidSuite where there is none of this name, and for a damaged file.
    """
    if name in BUILT_IN:
        return _read_built_in(name)
    if installed is None or not SUITE_NAME.fullmatch(name):
        raise InvalidSuite(f"unknown suite {name!r}; there are {', '.join(BUILT_IN)}")
    path = installed / f"{name}.jsonl"
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidSuite(
            f"the suite {name} is not installed ({path} is not there); "
            "`holdfast suites import` installs one"
        ) from error
    return _read_installed(name, path, (status.st_ino, status.st_mtime_ns, status.st_size))


def installed_names(installed: Path) -> tuple[str, ...]:
    """The suites in a folder, by name; none where the folder is not there."""
    return tuple(sorted(path.stem for path in installed.glob("*.jsonl")))


@cache
def _read_built_in(name: str) -> LoadedSuite:
    return read_suite(name, HERE / f"{name}.jsonl", BUILT_IN[name])


@lru_cache(maxsize=8)
def _read_installed(name: str, path: Path, _as_it_stands: tuple[int, int, int]) -> LoadedSuite:
    return read_suite(name, path)


def read_suite(name: str, path: Path, form: type[Row] | None = None) -> LoadedSuite:
    """A suite from a JSON Lines file, every line one item of `form` (None: of the first line's).

    Raises InvalidSuite with file and line at the first line that is not, and for an empty file or
    an id that stands twice.
    """
    try:
        text = read_plain_text(path, MAX_BYTES, InvalidSuite)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSuite(f"suite {name}: {path} cannot be read: {error}") from error
    if not text.strip():
        raise InvalidSuite(f"suite {name}: {path} holds no items")
    lines = text.removesuffix("\n").split("\n")  # JSON may hold U+2028, where splitlines splits
    form = form or form_of(lines[0], f"{path}:1")
    items: list[Row] = []
    line_of_id: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        item = parse_item(line, form, f"{path}:{number}")
        if item.id in line_of_id:
            raise InvalidSuite(
                f"{path}:{number}: id {item.id!r:.60} stands already in line {line_of_id[item.id]}"
            )
        line_of_id[item.id] = number
        items.append(item)
    return LoadedSuite(name, suite_digest(items), tuple(items))


def form_of(line: str, place: str) -> type[Row]:
    """The row type of one line of a suite, known by a key that no other type has."""
    try:
        keys = json.loads(line).keys()
    except (ValueError, AttributeError, RecursionError) as error:
        raise InvalidSuite(f"{place}: found no JSON object, expected one item a line") from error
    row_type = next((form for key, form in FORMS.items() if key in keys), None)
    if row_type is None:
        raise InvalidSuite(
            f"{place}: found the keys {', '.join(sorted(keys)):.200}; expected one of "
            f"{', '.join(FORMS)}, which tells what an item is"
        )
    return row_type


def parse_item(line: str, form: type[Row], place: str) -> Row:
    """One line as an item; raises InvalidSuite with the place and the field."""
    try:
        return form.model_validate_json(line)
    except ValidationError as error:
        raise InvalidSuite(f"{place}: {first_problem(error, 'the line'):.300}") from error


def canonical(item: Row) -> str:
    """The one line of JSON that stands for an item: what is unset left out, keys in order."""
    fields = item.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def suite_digest(items: Sequence[Row]) -> str:
    """64 hex digits over the canonical lines, each with its newline, in order."""
    return hashlib.sha256("".join(f"{canonical(item)}\n" for item in items).encode()).hexdigest()


def select(
    suite: LoadedSuite, tier_items: int | None, split: Split, seed: int = 0
) -> tuple[Row, ...]:
    """The items of `split` that a tier asks, in file order; all of them for None.

    A part is seeded and balanced over hazards, topics or groups to within one unit where the suite
    allows it. A unit is everything that shares cluster and group, so a scenario keeps both of its
    contexts; a cluster serves twice only when none is left unused. A smaller part lies inside every
    larger one of the same seed. Takes at most `tier_items`; fewer only if the split has no more.
    """
    pool = [item for item in suite.items if item.split in {None, split}]
    if tier_items is None or tier_items >= len(pool):
        return tuple(pool)
    chosen: set[str] = set()
    for unit in _in_turn(pool, f"{suite.name}:{seed}"):
        if len(chosen) + len(unit) > tier_items:
            break
        chosen.update(item.id for item in unit)
    return tuple(item for item in pool if item.id in chosen)


Unit = tuple[Row, ...]


def _in_turn(pool: Sequence[Row], salt: str) -> Iterator[Unit]:
    """Units of the pool, one stratum after the other, those of unused clusters first."""
    units: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for item in pool:
        units[item.stratum, item.cluster].append(item)
    waiting: defaultdict[str, list[tuple[str, Unit]]] = defaultdict(list)
    for stratum, cluster in sorted(units, key=lambda key: _rank(salt, *key)):
        waiting[stratum].append((cluster, tuple(units[stratum, cluster])))
    used: set[str] = set()
    while waiting:
        for stratum in sorted(waiting, key=lambda stratum: _rank(salt, stratum)):
            queue = waiting[stratum]
            fresh = (at for at, (cluster, _) in enumerate(queue) if cluster not in used)
            cluster, unit = queue.pop(next(fresh, 0))
            used.add(cluster)
            yield unit
            if not queue:
                del waiting[stratum]


def _rank(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode()).digest()
