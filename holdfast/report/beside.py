"""What stands beside a verdict in a report and is no part of it: the worst flips, the noise floor.

A verdict says how many answers got worse; whoever has to repair them wants to know which. Flips are
named by ids and groups alone; what the models said is added only by who may read it. The noise
floor says how many answers of the baseline move when nothing changed, where that was measured with
the same backend.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.evidence.file import Evidence
from holdfast.probes.table import spec_of
from holdfast.readings.noise import Floor, Noise
from holdfast.verdict.checks.pairs import Pair, every_form

WORST = 10  # flips of one check that a report names


@dataclass(frozen=True, slots=True)
class Flip:
    """One item that got worse; `said` is what baseline and candidate answered, where shown."""

    item: str
    variant: str
    cluster: str
    group: str | None
    before: float
    after: float
    said: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst flips of one check, worst first, of `worse` in all."""

    flips: tuple[Flip, ...]
    worse: int


@dataclass(frozen=True, slots=True)
class Beside:
    """By check; what was not measured, or did not move, is not in it."""

    worst: Mapping[str, Worst] = field(default_factory=dict)
    noise: Mapping[str, Floor] = field(default_factory=dict)


def beside(
    checks: Iterable[str], baseline: Evidence, candidate: Evidence, noise: Noise | None = None
) -> Beside:
    """What can be said beside these checks."""
    names = tuple(checks)
    rates = [name for name in names if not spec_of(name).measure]
    found = {name: worst_flips(name, baseline, candidate) for name in rates}
    backend = {key: str(value) for key, value in baseline.manifest.backend.model_dump().items()}
    same = noise is not None and noise.backend == backend
    floors = noise.probes if noise is not None and same else {}
    return Beside(
        worst={name: one for name, one in found.items() if one.worse},
        noise={name: floors[name] for name in names if name in floors},
    )


def worst_flips(probe: str, baseline: Evidence, candidate: Evidence) -> Worst:
    """Those that lost most come first, then by id; every form of an item is one of its own."""
    pairs = every_form(probe, baseline, candidate).pairs
    worse = sorted((pair for pair in pairs if (pair.change or 0) > 0), key=_how_bad)
    return Worst(tuple(_flip(pair) for pair in worse[:WORST]), len(worse))


def _how_bad(pair: Pair) -> tuple[float, str, str]:
    return -(pair.change or 0.0), pair.item, pair.variant


def _flip(pair: Pair) -> Flip:
    before, after = pair.before or 0.0, pair.after or 0.0  # neither is lost: it changed
    return Flip(pair.item, pair.variant, pair.cluster, pair.group, before, after)


def text_of(answer: Mapping[str, Any] | None) -> str:
    """The last thing that a stored answer says, with its opening; "" where it only scores."""
    replies = (answer or {}).get("replies", ())
    said = [one for reply in replies for one in reply.get("said", (reply,)) if "text" in one]
    return f"{said[-1].get('opening') or ''}{said[-1]['text']}" if said else ""
