"""Where imported suites go: one file a suite, written whole or not at all.

A suite never changes under its name, since evidence that was measured on it would then be compared
with other items. Importing the same content again is no error. Beside the items lies a record of
where they came from, which `suites verify` holds them against.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.errors import InvalidSuite
from holdfast.plain_files import open_plain, read_plain
from holdfast.settings import make_folder
from holdfast.suites import (
    BUILT_IN,
    LoadedSuite,
    PreferenceItem,
    Request,
    Row,
    canonical,
    installed_names,
    load_suite,
)
from holdfast.suites.duplicates import near_duplicates, text_of

MAX_RECORD = 1_000_000  # bytes of the record of an import


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of an import; `duplicates` are items that stand in another suite as well."""

    name: str
    digest: str
    items: int
    groups: int
    clusters: int
    duplicates: int


def summarize(suite: LoadedSuite, near: Sequence[str | None]) -> Summary:
    """Count a suite; `near` is what `near_items` found."""
    return Summary(
        name=suite.name,
        digest=suite.digest,
        items=len(suite.items),
        groups=len({item.group for item in suite.items} - {None}),
        clusters=len({item.cluster for item in suite.items}),
        duplicates=sum(name is not None for name in near),
    )


def near_items(suite: LoadedSuite, installed: Path) -> list[str | None]:
    """For each item the other suite, built-in or installed, that holds a near-duplicate of it.

    Suites of another type of row ask something else, but for requests and preferences: both prompt.
    """
    names = dict.fromkeys((*BUILT_IN, *installed_names(installed)))
    suites = [load_suite(name, installed) for name in names if name != suite.name]
    others = {
        other.name: map(text_of, other.items) for other in suites if _form(other) == _form(suite)
    }
    return near_duplicates([text_of(item) for item in suite.items], others)


def _form(suite: LoadedSuite) -> type[Row]:
    form = type(suite.items[0])
    return Request if form is PreferenceItem else form


def install(suite: LoadedSuite, folder: Path, *, form: str, files: Sequence[Path]) -> Path:
    """Write a suite and the record of its origin; the file that holds it now.

    Raises InvalidSuite where another suite of this name is installed or the folder cannot be
    written.
    """
    path = folder / f"{suite.name}.jsonl"
    if path.exists():
        existing = load_suite(suite.name, folder)
        if existing.digest != suite.digest:
            raise InvalidSuite(
                f"{path} holds another suite of this name ({len(existing.items)} items, digest "
                f"{existing.digest[:12]}); "
                "a suite never changes, so choose another name or remove it"
            )
    origin = {
        "format": form,
        "files": [{"name": file.name, "sha256": _sha256(file)} for file in files],
        "digest": suite.digest,
        "items": len(suite.items),
    }
    try:
        make_folder(folder)
        _write(_origin(path), [json.dumps(origin, sort_keys=True)])
        _write(path, map(canonical, suite.items))
    except OSError as error:
        raise InvalidSuite(f"{folder} cannot be written: {error.strerror}") from error
    return path


def verify(name: str, folder: Path) -> tuple[LoadedSuite, bool]:
    """Read a suite again; True where it agrees with the record of its import, or is built in.

    Raises InvalidSuite for a damaged file, and for content that is not what was imported.
    """
    suite = load_suite(name, folder)
    record = _origin(folder / f"{name}.jsonl")
    if name in BUILT_IN:
        return suite, True
    if not record.exists():
        return suite, False
    try:
        origin: dict[str, Any] = json.loads(read_plain(record, MAX_RECORD, InvalidSuite))
        expected = origin["digest"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidSuite(f"{record} is no record of an import; import {name} again") from error
    if expected != suite.digest:
        raise InvalidSuite(
            f"the suite {name} was imported as {expected}, and holds {suite.digest} now; "
            "evidence of the one says nothing of the other: import it again"
        )
    return suite, True


def _origin(path: Path) -> Path:
    return path.with_suffix(".origin.json")


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file through one beside it, so that no reader ever sees a part."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.stem}-", delete=False
    ) as file:
        try:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


def _sha256(path: Path) -> str:
    with open_plain(path, InvalidSuite) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
