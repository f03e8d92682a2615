"""Two evidence files side by side, item by item: what flipped, without judging whether it may.

No margin and no test: this is for reading a verdict's raw material, or two runs that no policy
covers. Files that are not comparable are still shown, with what differs said first.
"""

from dataclasses import dataclass

from holdfast.evidence.file import Evidence
from holdfast.verdict.checks.pairs import TrialPair, pair_up
from holdfast.verdict.comparability import differences


@dataclass(frozen=True, slots=True)
class ProbeFlips:
    """One probe's items: how many moved which way, and the mean badness before and after."""

    probe: str
    n: int
    worse: int
    better: int
    lost: int
    before: float | None
    after: float | None
    flips: tuple[TrialPair, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All probes of either file, and what keeps the two from being compared in earnest."""

    differences: tuple[str, ...]
    probes: tuple[ProbeFlips, ...]


def compare(before: Evidence, after: Evidence) -> Comparison:
    """Every item of either file; flips are ordered from the worst to the best."""
    probes = sorted({trial.probe for file in (before, after) for trial in file.trials})
    changes = tuple(_change(probe, before, after) for probe in probes)
    return Comparison(differences(before.manifest, after.manifest), changes)


def _change(probe: str, before: Evidence, after: Evidence) -> ProbeFlips:
    pairs = pair_up(probe, before, after)
    worse, better = pairs.flips()
    before_mean, after_mean = pairs.rates() or (None, None)
    moved = [pair for pair in pairs.pairs if pair.change]
    moved.sort(key=lambda pair: (-(pair.change or 0.0), pair.item))
    return ProbeFlips(
        probe=probe,
        n=pairs.n,
        worse=worse,
        better=better,
        lost=pairs.lost,
        before=before_mean,
        after=after_mean,
        flips=tuple(moved),
    )
