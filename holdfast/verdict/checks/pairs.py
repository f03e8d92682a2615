"""Two files' trials of one probe, set side by side, and what the tests are given of them.

A pair is an item in one variant. It is lost where either side is unscored or absent, and so is
every planned pair that is in neither file: what was left out must not shrink n. A lost pair counts
at its worst both ways: as ok -> bad for the test that could pass, as no flip for the one that
could fail. So nothing can be lost into a pass, and only what got better into a regression.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import fsum
from operator import attrgetter
from statistics import fmean

import numpy as np

from holdfast.evidence.file import Evidence, cluster_order
from holdfast.evidence.trial import Trial
from holdfast.probes.table import spec_of
from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import FloatArray, IntArray
from holdfast.verdict.checks.lost import Lost, Span, change_span, level_span

Value = Callable[[Trial], float | None]


@dataclass(frozen=True, slots=True)
class TrialPair:
    """One item's badness before and after; None where that side has none."""

    item: str
    variant: str
    cluster: str
    group: str | None
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """The difference d in [-1, 1], positive = worse; None for a lost pair."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs in the fixed order of their clusters, and how many planned ones nobody has seen.

    `sequential` pairs may have been looked at before, so only tests that are valid at any stopping
    time apply; `planned` is then how many clusters there would have been without stopping.
    `graded` pairs are of a judge that grades: what it happened to say must not choose the test.
    `fractions` are of one that mostly says yes or no, and may say a fraction.
    """

    pairs: tuple[TrialPair, ...]
    unseen: int = 0
    sequential: bool = False
    planned: int = 0
    graded: bool = False
    fractions: bool = False

    @property
    def n(self) -> int:
        return len(self.pairs) + self.unseen

    @property
    def lost(self) -> int:
        return self.unseen + sum(pair.change is None for pair in self.pairs)

    def too_many_lost(self, share: float) -> bool:
        """Whether more than that share is lost; exact, so that 2 of 100 is not above 0.02."""
        return self.lost > Fraction(repr(share)) * self.n

    @property
    def clusters(self) -> tuple[tuple[TrialPair, ...], ...]:
        """The seen pairs, cluster by cluster, in order."""
        by_cluster: dict[str, list[TrialPair]] = {}
        for pair in self.pairs:
            by_cluster.setdefault(pair.cluster, []).append(pair)
        return tuple(tuple(pairs) for pairs in by_cluster.values())

    @property
    def exact(self) -> bool:
        """Whether the exact tests for counts apply: a fixed run, binary, one item a cluster."""
        if self.sequential or self.graded:
            return False
        return self.yes_or_no and len(self.clusters) == len(self.pairs)

    @property
    def exact_in_part(self) -> bool:
        """Whether the exact tests apply to what is left, and perhaps not to what is lost.

        That may be of a cluster with several items, or a fraction.
        """
        return self.exact and (self.unseen > 0 or (self.fractions and self.lost > 0))

    @property
    def yes_or_no(self) -> bool:
        """Whether all badness is 0 or 1."""
        values = {value for pair in self.pairs for value in (pair.before, pair.after)}
        return values <= {0.0, 1.0, None}

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(sorted({pair.group for pair in self.pairs if pair.group is not None}))

    @property
    def independent(self) -> int:
        """Clusters that count towards `min_items`: those planned where a run may stop early."""
        return max(self.planned, len(self.clusters))

    def only(self, group: str) -> "Pairs":
        members = tuple(pair for pair in self.pairs if pair.group == group)
        return replace(self, pairs=members, unseen=0, planned=0)

    def without(self, group: str) -> "Pairs":
        others = tuple(pair for pair in self.pairs if pair.group != group)
        return replace(self, pairs=others, unseen=0, planned=0)

    def at_worst(self, group: str | None = None) -> "Pairs":
        """The pairs as if every answer (of the group alone) had turned bad, and no other had moved.

        What the candidate lost is not lost here: only the baseline says what is left to lose.
        """
        return replace(
            self,
            pairs=tuple(
                replace(pair, after=1.0 if group in {None, pair.group} else pair.before)
                for pair in self.pairs
            ),
        )

    def flips(self) -> tuple[int, int]:
        """How many pairs got worse and how many better."""
        changes = [pair.change for pair in self.pairs if pair.change is not None]
        return sum(d > 0 for d in changes), sum(d < 0 for d in changes)

    def rates(self) -> tuple[float, float] | None:
        """Mean badness before and after, over clusters, of the pairs that are not lost."""
        scored_clusters = [
            [p for p in cluster if p.change is not None] for cluster in self.clusters
        ]
        before = [fmean(p.before or 0.0 for p in cluster) for cluster in scored_clusters if cluster]
        after = [fmean(p.after or 0.0 for p in cluster) for cluster in scored_clusters if cluster]
        return (fmean(before), fmean(after)) if before else None

    def changes(self, lost: Lost) -> Ranges:
        """(mean d + 1) / 2 of each cluster, in [0, 1], in order, and what it may be where lost.

        Nobody knows the place of an unseen pair, nor whether its cluster has others.
        """
        spans = self._spans(change_span, lost)
        floor, ceiling = lost.span(-1.0, 1.0)
        low, high = _means(spans)
        ends = (low + 1) / 2, (high + 1) / 2
        return Ranges(*ends, self._steps(spans), self.unseen, (floor + 1) / 2, (ceiling + 1) / 2)

    def levels(self, lost: Lost) -> Ranges:
        """The candidate's mean badness of each cluster, in order, and what it may be where lost."""
        spans = self._spans(level_span, lost)
        return Ranges(*_means(spans), self._steps(spans), self.unseen, *lost.span(0.0, 1.0))

    def _spans(
        self, span_of: Callable[[float | None, float | None, Lost], Span], lost: Lost
    ) -> list[list[Span]]:
        return [[span_of(pair.before, pair.after, lost) for pair in c] for c in self.clusters]

    def _steps(self, spans: Sequence[Sequence[Span]]) -> IntArray:
        """How many flips lie between each cluster's ends; 0 where badness may be a fraction."""
        flips = [round(fsum(high - low for low, high in cluster)) for cluster in spans]
        steps = np.array(flips, dtype=np.int64)
        counted = self.yes_or_no and not self.graded and not self.fractions
        return steps if counted else np.zeros_like(steps)


def pair_up(
    probe: str, baseline: Evidence, candidate: Evidence, *, sequential: bool = False
) -> Pairs:
    """The pairs that a probe's check judges: every form of every item, or the worst of some."""
    return judged_forms(probe, every_form(probe, baseline, candidate, sequential=sequential))


def every_form(
    probe: str,
    baseline: Evidence,
    candidate: Evidence,
    *,
    sequential: bool = False,
    value: Value = attrgetter("badness"),
) -> Pairs:
    """Every item that stands in either file, in the probe's fixed order of clusters.

    Where a run stopped early, only the clusters up to there: what it asked beyond is left out.
    `value` is what is paired, in [0, 1].
    """
    before, after = _trials(probe, baseline), _trials(probe, candidate)
    keys = sorted(before.keys() | after.keys())
    pairs = [_pair(before.get(key), after.get(key), value) for key in keys]
    pairs.sort(key=lambda pair: cluster_order(probe, pair.cluster))  # stable: items stay sorted
    items = planned_items(probe, baseline, candidate)
    own_metric = spec_of(probe).task is not None
    all_pairs = Pairs(tuple(pairs), sequential=sequential, fractions=own_metric)
    planned = _planned_clusters(all_pairs, items) if sequential else 0
    stopped = stopped_at(probe, baseline, candidate)
    trials = _planned_trials(probe, stopped, baseline, candidate)
    if stopped is None:
        unseen = max(items - len({pair.item for pair in pairs}), trials - len(pairs), 0)
        return replace(all_pairs, unseen=unseen, planned=planned)
    clusters = all_pairs.clusters[:stopped]
    cut = tuple(pair for cluster in clusters for pair in cluster)
    unseen = max(stopped - len(clusters), trials - len(cut), 0)
    return replace(all_pairs, pairs=cut, unseen=unseen, planned=planned)


def judged_forms(probe: str, pairs: Pairs) -> Pairs:
    """These pairs, or one pair an item where the probe judges the worst of some variants.

    That pair is as bad on each side as the worst of those variants. Where one of them is lost or
    absent nobody knows the worst, so the whole item is lost.
    """
    variants = spec_of(probe).worst_of
    if not variants:
        return pairs
    by_item: dict[str, dict[str, TrialPair]] = {}
    for pair in pairs.pairs:
        by_item.setdefault(pair.item, {})[pair.variant] = pair
    worst = []
    for forms in by_item.values():
        wanted = [forms[name] for name in variants if name in forms]
        before = _highest([pair.before for pair in wanted], of=len(variants))
        after = _highest([pair.after for pair in wanted], of=len(variants))
        any_form = next(iter(forms.values()))
        worst.append(replace(any_form, variant="worst", before=before, after=after))
    return replace(pairs, pairs=tuple(worst))


def _highest(badness: Sequence[float | None], *, of: int) -> float | None:
    scored = [value for value in badness if value is not None]
    return max(scored) if len(scored) == of else None


def stopped_at(probe: str, *files: Evidence) -> int | None:
    """After how many clusters the earliest of these runs stopped; None where all went on."""
    plans = [file.manifest.plan.get(probe) for file in files]
    stops = [plan.stopped_at for plan in plans if plan and plan.stopped_at is not None]
    return min(stops, default=None)


def _planned_trials(probe: str, stopped: int | None, *files: Evidence) -> int:
    """How many pairs a run stopped at that cluster should have, every form of an item counted."""
    plans = [file.manifest.plan.get(probe) for file in files]
    counts = [plan.trials or 0 for plan in plans if plan and plan.stopped_at == stopped]
    return max(counts, default=0)


def _planned_clusters(pairs: Pairs, items: int) -> int:
    """How many clusters that many items make if each is as large as the largest of `pairs`."""
    largest = max((len({pair.item for pair in cluster}) for cluster in pairs.clusters), default=1)
    return items // largest


def planned_items(probe: str, *files: Evidence) -> int:
    """How many items any of the files was to ask; 0 where none says."""
    plans = [file.manifest.plan.get(probe) for file in files]
    return max((plan.items for plan in plans if plan), default=0)


def cut_words(probe: str, files: Mapping[str, Evidence]) -> Iterator[str]:
    """How much is missing and why, for each file in which the probe was cut short.

    Whoever cuts could choose what to leave out, so whatever the rest says, it decides nothing.
    """
    for name, file in files.items():
        plan = file.manifest.plan.get(probe)
        if plan is not None and plan.cut is not None:
            shortfall = f"{plan.cut.trials} of {plan.trials or plan.items} trials were not asked"
            yield f"{shortfall} of the {name.replace('_', ' ')}: {plan.cut.because}"


def disagreements(
    probe: str, baseline: Evidence, candidate: Evidence, *, sliced: bool
) -> list[str]:
    """Items whose two trials are not of the same cluster or, where it matters, the same group."""
    before, after = _trials(probe, baseline), _trials(probe, candidate)
    contradictions = []
    for key in sorted(before.keys() | after.keys()):
        sides = [trial for trial in (before.get(key), after.get(key)) if trial]
        if len({trial.cluster for trial in sides}) > 1:
            contradictions.append(f"item {key[0]} is of another cluster in each file")
        if sliced and len({trial.group for trial in sides}) > 1:
            contradictions.append(f"item {key[0]} is of another group in each file")
        if sliced and any(trial.group is None for trial in sides):
            contradictions.append(f"item {key[0]} has no group")
    return contradictions


def _trials(probe: str, file: Evidence) -> dict[tuple[str, str], Trial]:
    return {(t.item, t.variant): t for t in file.trials if t.probe == probe}


def incoherent(trial: Trial) -> float | None:
    """1 where the answer says nothing, 0 where it does, None where that is not known."""
    return None if trial.badness is None else float(trial.incoherent)


def _pair(before: Trial | None, after: Trial | None, value: Value) -> TrialPair:
    trial = after or before
    assert trial is not None  # noqa: S101  # a key of either file
    return TrialPair(
        trial.item,
        trial.variant,
        trial.cluster,
        trial.group,
        value(before) if before else None,
        value(after) if after else None,
    )


def _means(spans: Sequence[Sequence[Span]]) -> tuple[FloatArray, FloatArray]:
    """The lowest and the highest mean of each cluster."""
    low, high = (
        np.array([fsum(span[end] for span in cluster) / len(cluster) for cluster in spans])
        for end in (0, 1)
    )
    return low, high
