"""Finds the extras of a report in a verdict's evidence: the worst flips and the noise floor."""

from collections.abc import Iterable

from holdfast.evidence.file import Evidence
from holdfast.probes.table import spec_of
from holdfast.readings.noise import Noise
from holdfast.report.beside import Extras, Worst, WorstFlip
from holdfast.verdict.checks.pairs import TrialPair, every_form

WORST = 10  # flips of one check that a report names


def report_extras(
    checks: Iterable[str], baseline: Evidence, candidate: Evidence, noise: Noise | None = None
) -> Extras:
    """The worst flips and the noise floor of these checks."""
    names = tuple(checks)
    rates = [name for name in names if not spec_of(name).measure]
    worst = {name: worst_flips(name, baseline, candidate) for name in rates}
    backend = {key: str(value) for key, value in baseline.manifest.backend.model_dump().items()}
    same = noise is not None and noise.backend == backend
    floors = noise.probes if noise is not None and same else {}
    return Extras(
        worst={name: flips for name, flips in worst.items() if flips.worse},
        noise={name: floors[name] for name in names if name in floors},
    )


def worst_flips(probe: str, baseline: Evidence, candidate: Evidence) -> Worst:
    """The pairs that got worse, worst first, then by id; every form of an item is its own pair."""
    pairs = every_form(probe, baseline, candidate).pairs
    worse = sorted((pair for pair in pairs if (pair.change or 0) > 0), key=_how_bad)
    return Worst(tuple(_flip(pair) for pair in worse[:WORST]), len(worse))


def _how_bad(pair: TrialPair) -> tuple[float, str, str]:
    return -(pair.change or 0.0), pair.item, pair.variant


def _flip(pair: TrialPair) -> WorstFlip:
    before, after = pair.before or 0.0, pair.after or 0.0  # neither is lost: it changed
    return WorstFlip(pair.item, pair.variant, pair.cluster, pair.group, before, after)
