"""Evidence: what one checkpoint answered, as a file that can be judged again without it.

JSON Lines: a manifest, then one line a trial and one a measure (docs/statistics.md has the keys).
A file is read whole or not at all: a cut line, a repeated trial, a badness that is no number or an
outcome that contradicts it is an error with its line, never a smaller file. Whether the file is
enough to decide anything is not asked here; that is the verdict's question. No model text.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from holdfast.errors import InvalidEvidence, first_problem
from holdfast.evidence.manifest import FROZEN_LINE, Manifest, Name
from holdfast.evidence.trial import BAD_FROM, Measure, Outcome, Trial
from holdfast.plain_files import read_plain

MAX_BYTES = 100_000_000  # of a file: half a million trials
_Key = TypeVar("_Key", tuple[str, str], tuple[str, str, str])
_Entry = TypeVar("_Entry", Trial, Measure)
_Line = TypeVar("_Line", bound=BaseModel)


class _TrialLine(BaseModel):
    model_config = FROZEN_LINE
    kind: Literal["trial"]
    probe: Name
    item: Name
    variant: Name
    cluster: Name
    group: Name | None
    outcome: Outcome
    badness: Annotated[float, Field(ge=0, le=1)] | None
    reason: str | None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.badness is None) != (self.outcome is Outcome.UNSCORED):
            raise ValueError(f"outcome {self.outcome} with badness {self.badness}")
        if self.badness is not None and (self.badness >= BAD_FROM) != (self.outcome is Outcome.BAD):
            raise ValueError(f"outcome {self.outcome} contradicts badness {self.badness}")
        return self


class _MeasureLine(BaseModel):
    model_config = FROZEN_LINE
    kind: Literal["measure"]
    probe: Name
    item: Name
    value: float
    weight: Annotated[float, Field(gt=0)]
    unit: Name


_LINES: dict[str, type[_TrialLine] | type[_MeasureLine]] = {
    "trial": _TrialLine,
    "measure": _MeasureLine,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file, understood: trials by (probe, item, variant), measures by (probe, item)."""

    manifest: Manifest
    trials: tuple[Trial, ...]
    measures: tuple[Measure, ...]
    digest: str  # 64 hex digits over the canonical bytes, whatever the order of the file's lines


def gather(
    manifest: Manifest, trials: Iterable[Trial] = (), measures: Iterable[Measure] = ()
) -> Evidence:
    """Evidence of what was just measured, held to the same rules as a file that is read."""
    return parse_evidence(_render(manifest, trials, measures), source="evidence")


def render_evidence(evidence: Evidence) -> bytes:
    """The canonical file: sorted lines with sorted keys; parsing it gives the same evidence."""
    return _render(evidence.manifest, evidence.trials, evidence.measures)


def read_evidence(path: str | Path) -> Evidence:
    """Read a file; raises InvalidEvidence where it is missing or damaged."""
    try:
        content = read_plain(Path(path), MAX_BYTES, InvalidEvidence)
    except OSError as error:
        raise InvalidEvidence(f"evidence {path} cannot be read: {error.strerror}") from error
    return parse_evidence(content, source=str(path))


def parse_evidence(data: bytes, *, source: str) -> Evidence:
    """Read the bytes of a file; raises InvalidEvidence that names `source` and the line."""
    first, *rest = data.removesuffix(b"\n").split(b"\n")
    place = f"{source}, line 1"
    if (kind := _object(first, place).get("kind")) != "manifest":
        raise InvalidEvidence(f"{place}: found kind {kind!r:.60}, expected the manifest")
    manifest = _checked(Manifest, first, place)
    trials: dict[tuple[str, str, str], Trial] = {}
    measures: dict[tuple[str, str], Measure] = {}
    for number, line in enumerate(rest, start=2):
        place = f"{source}, line {number}"
        kind = _object(line, place).get("kind")
        if kind not in _LINES:
            raise InvalidEvidence(f"{place}: found kind {kind!r:.60}, expected trial or measure")
        entry = _checked(_LINES[kind], line, place)
        values = entry.model_dump(exclude={"kind"})
        if isinstance(entry, _TrialLine):
            _add_once(trials, (entry.probe, entry.item, entry.variant), Trial(**values), place)
        else:
            _add_once(measures, (entry.probe, entry.item), Measure(**values), place)
    ordered = tuple(trials[key] for key in sorted(trials))
    measured = tuple(measures[key] for key in sorted(measures))
    digest = hashlib.sha256(_render(manifest, ordered, measured)).hexdigest()
    return Evidence(manifest, ordered, measured, digest)


def cluster_order(probe: str, cluster: str) -> str:
    """The place of a cluster among its probe's: fixed for ever, so nobody can choose it."""
    return hashlib.sha256(f"{probe}:{cluster}".encode()).hexdigest()


def _add_once(entries: dict[_Key, _Entry], key: _Key, entry: _Entry, place: str) -> None:
    if key in entries:
        raise InvalidEvidence(
            f"{place}: {'/'.join(key):.200} stands on an earlier line, expected once"
        )
    entries[key] = entry


def _object(line: bytes, place: str) -> dict[str, Any]:
    """One line as a JSON object in which no key stands twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) != len(pairs):
            raise ValueError("a key stands twice")
        return mapping

    try:
        value = json.loads(line, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, a number too long
        raise InvalidEvidence(f"{place}: not one whole JSON object ({error})") from error
    if not isinstance(value, dict):
        raise InvalidEvidence(f"{place}: found a {type(value).__name__}, expected a JSON object")
    return value


def _checked(model: type[_Line], line: bytes, place: str) -> _Line:
    try:
        return model.model_validate_json(line, strict=True)
    except ValidationError as error:
        raise InvalidEvidence(f"{place}: {first_problem(error, 'the line'):.300}") from error


def _render(manifest: Manifest, trials: Iterable[Trial], measures: Iterable[Measure]) -> bytes:
    lines = [
        _line("manifest", manifest.model_dump(mode="json", by_alias=True)),
        *(
            _line("trial", _fields(t))
            for t in sorted(trials, key=attrgetter("probe", "item", "variant"))
        ),
        *(_line("measure", _fields(m)) for m in sorted(measures, key=attrgetter("probe", "item"))),
    ]
    return b"".join(lines)


def _fields(entry: Trial | Measure) -> dict[str, Any]:
    return {field.name: getattr(entry, field.name) for field in fields(entry)}


def _line(kind: str, entry: dict[str, Any]) -> bytes:
    text = json.dumps({**entry, "kind": kind}, sort_keys=True, separators=(",", ":"))
    return text.encode() + b"\n"
