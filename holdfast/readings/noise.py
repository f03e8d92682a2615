"""The noise floor: what share of answers turns over when nothing has changed.

A margin below it asks the gate to tell a model from itself. It is measured by asking one checkpoint
twice (`holdfast doctor --noise`) and kept by that checkpoint's digest, to stand beside the verdicts
that it is the baseline of. It decides nothing: flips both ways are in the tests already.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.settings import make_folder

ALPHA = 0.05

log = logging.getLogger(__name__)


class Floor(BaseModel):
    """One probe's noise: `flips` of n answers, and a bound above the true share at .95."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    flips: int
    n: int
    bound: float


class Noise(BaseModel):
    """The measured noise floors of one checkpoint, by probe."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    checkpoint: str
    backend: dict[str, str]
    probes: dict[str, Floor]


def place_of(home: Path, digest: str) -> Path:
    """Where the noise of a checkpoint is kept."""
    return home / "noise" / f"{digest.removeprefix('sha256:')}.json"


def save_noise(home: Path, noise: Noise) -> Path:
    """Write a checkpoint's noise to its file, in place of an earlier measurement."""
    path = place_of(home, noise.checkpoint)
    make_folder(path.parent)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(noise.model_dump(), indent=2) + "\n")
    return partial.replace(path)


def find_noise(home: Path, digest: str) -> Noise | None:
    """The noise measured of this checkpoint on this machine; None if there is none to read."""
    path = place_of(home, digest)
    try:
        return Noise.model_validate_json(path.read_bytes()) if path.is_file() else None
    except (OSError, ValidationError) as error:
        log.warning("%s cannot be read, measure the noise again: %s", path, error)
        return None


def in_words(probes: Mapping[str, Floor]) -> list[str]:
    """One sentence for each probe."""
    return [
        f"{probe}: {floor.flips} of {floor.n} answers move when nothing changed "
        f"(at most {floor.bound:.1%} at {1 - ALPHA:.0%})"
        for probe, floor in probes.items()
    ]
