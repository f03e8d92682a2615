"""Checks that a policy's margins fit its suites: the chance that a harmless change passes.

A margin that the items cannot show is a gate that never opens. So each rule is asked: of a
checkpoint that flips a share psi of the answers, as often for the better as for the worse, how
often would this rule pass, and how often would all of them together? Below 0.8 it says with how
many items it would do. A margin against the anchor is a rule of its own. Rules and groups are taken
as independent for the joint chance, which is on the low side where they share items; rates of flips
of .06, .10 and .20 are what harmless fine-tunes have shown (docs/statistics.md).

Where the baseline's evidence is at hand, two more things are known: which rules could not fail
beside it, so that passing them says nothing, and how often its own rates would stay under the caps.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from holdfast.evidence.file import Evidence
from holdfast.job import Tier
from holdfast.policy.model import Check, GatePolicy
from holdfast.probes.items import suite_for
from holdfast.probes.spec import ProbeSpec
from holdfast.probes.table import spec_of
from holdfast.stats.power import (
    POWER,
    Method,
    chance_to_pass,
    chance_under_cap,
    n_to_decide,
)
from holdfast.suites import select
from holdfast.verdict.checks.examination import Files, examine, judge_rates
from holdfast.verdict.checks.findings import CAPS
from holdfast.verdict.checks.pairs import every_form, incoherent, judged_forms
from holdfast.verdict.settle import without_blind_passes

FLIPS = (0.06, 0.10, 0.20)
EXPECTED = FLIPS[1]  # the share of flips that the warnings speak of
HALVINGS = 10  # of a margin in [0, 1]: to one point in a thousand
SUMMED_UP_TO = 2000  # a larger suite has at least the chance of this size, which takes a second


@dataclass(frozen=True, slots=True)
class Size:
    """A suite as a tier takes it: items and clusters, those of the smallest group and of the rest.

    Without groups `per_group` and `rest` are 0. Clusters may serve several groups.
    """

    items: int

    clusters: int
    per_group: int
    rest: int
    groups: int


@dataclass(frozen=True, slots=True)
class PowerRow:
    """One rule's chance to pass at each of FLIPS; `enough` is the n that would do, where short."""

    probe: str
    rule: str
    n: int
    margin: float
    chances: tuple[float, ...]
    needed: int  # min_items: below it the rule cannot pass
    enough: int | None = None


@dataclass(frozen=True, slots=True)
class Lint:
    """The power of a policy at one tier; `joint` is the product over its blocking rules."""

    tier: Tier
    rows: tuple[PowerRow, ...]
    joint: tuple[float, ...]
    warnings: tuple[str, ...]


def lint(
    policy: GatePolicy,
    tier: Tier = "standard",
    installed: Path | None = None,
    baseline: Evidence | None = None,
) -> Lint:
    """The power table of a policy's blocking rules at a tier's sizes, and what is too small.

    `installed` is the folder of imported suites; raises InvalidSuite where one is asked for that
    is not there, since its size is not known then. With a `baseline` also what hangs on its rates.
    """
    probes = policy.probes(repair=False)
    rows = [row for probe in probes for row in _rows(probe, policy, tier, installed)]
    blind: tuple[str, ...] = ()
    if baseline is not None:
        rows += [row for probe in probes for row in _cap_rows(probe, policy, baseline)]
        blind = tuple(_blind_rules(policy, baseline))
    joint = tuple(prod(row.chances[at] for row in rows) for at in range(len(FLIPS)))
    warnings = _warnings(policy, tier, tuple(rows), joint)
    return Lint(tier, tuple(rows), joint, (*policy.warnings, *blind, *warnings))


def _cap_rows(probe: str, policy: GatePolicy, baseline: Evidence) -> Iterator[PowerRow]:
    """The chance of a candidate that is as good as its baseline to be shown under a cap."""
    check = policy.checks[probe]
    badness = every_form(probe, baseline, baseline)
    silence = every_form(probe, baseline, baseline, value=incoherent)
    for rule, cap, forms, judge in (
        ("max", check.max, badness, judge_rates(probe, check, baseline)),
        ("max_incoherent", check.max_incoherent, silence, None),
    ):
        pairs = judged_forms(probe, forms)
        rates = pairs.rates()
        if check.tier == "advisory" or cap is None or rates is None or not pairs.exact:
            continue
        chance = chance_under_cap(pairs.n, rates[0], cap, policy.alpha, judge)
        yield PowerRow(probe, rule, pairs.n, cap, (chance,) * len(FLIPS), policy.min_items)


def _blind_rules(policy: GatePolicy, baseline: Evidence) -> Iterator[str]:
    """Sentences on the rules that no candidate could fail beside this baseline, as in a verdict."""
    same = Files(baseline, baseline)
    examined = {
        probe: examine(probe, policy.checks[probe], policy, same)
        for probe in policy.probes(repair=False)
        if not spec_of(probe).measure
    }
    for probe, examination in without_blind_passes(examined, policy.alpha).items():
        if examination.trouble is not None:
            yield f"{probe}: {examination.trouble}"
        for before, after in zip(examined[probe].findings, examination.findings, strict=True):
            if after.obstacle is not None and before.obstacle is None:
                group = "" if after.group is None else f" of {after.group}"
                yield f"{probe} {after.rule}{group}: {after.obstacle}"


def _rows(probe: str, policy: GatePolicy, tier: Tier, installed: Path | None) -> Iterator[PowerRow]:
    check, spec = policy.checks[probe], spec_of(probe)
    if check.tier == "advisory" or tier not in spec.items or spec.suite is None:
        return
    size = size_of(spec, tier, installed)
    yield from _margin_rows(probe, check, policy, tier, size)
    if (since := check.since_anchor) is not None:
        margins = since.model_dump(exclude_none=True)
        for row in _margin_rows(probe, check.beside_anchor, policy, tier, size):
            if row.rule in margins:
                yield replace(row, rule=f"{row.rule} since anchor")


def _margin_rows(
    probe: str, check: Check, policy: GatePolicy, tier: Tier, size: Size
) -> Iterator[PowerRow]:
    spec = spec_of(probe)
    if spec.sliced:
        yield from _sliced_rows(probe, check, policy, size)
    elif check.max_regression is not None:
        single: Method = "sequential" if policy.sequential else "exact"
        forms = check.judge == "rubric" or (tier in spec.variants and not spec.worst_of)
        method = single if size.clusters == size.items and not forms else "betting"
        yield _row(
            probe,
            "max_regression",
            size.clusters,
            check.max_regression,
            policy=policy,
            method=method,
        )


def size_of(spec: ProbeSpec, tier: Tier, installed: Path | None = None) -> Size:
    """Items, clusters and groups that the tier asks of a probe's suite, in the gating split."""
    items = select(suite_for(spec, installed), spec.items[tier], "screen")
    clusters: defaultdict[str | None, set[str]] = defaultdict(set)
    for item in items:
        clusters[item.group].add(item.cluster)
    everything = set().union(*clusters.values())
    groups = {group: members for group, members in clusters.items() if group is not None}
    if not groups:
        return Size(len(items), len(everything), per_group=0, rest=0, groups=0)
    smallest = min(groups, key=lambda group: len(groups[group]))
    rest = set().union(*(members for group, members in clusters.items() if group != smallest))
    return Size(len(items), len(everything), len(groups[smallest]), len(rest), len(groups))


def _sliced_rows(probe: str, check: Check, policy: GatePolicy, size: Size) -> Iterator[PowerRow]:
    if check.max_regression is not None:
        yield _row(
            probe,
            "max_regression",
            size.clusters,
            check.max_regression,
            policy=policy,
            method="betting",
        )
    if check.per_group is not None and check.per_group.tier == "blocking":
        margin, needed = check.per_group.max_regression, check.per_group.min_items
        row = _row(probe, "per_group", size.per_group, margin, policy=policy, method="betting")
        yield _all_groups(replace(row, needed=needed or policy.min_items), size.groups)
    if check.gap is not None and check.gap.tier == "blocking":
        chances = tuple(_gap_chance(size, psi, check.gap.max, policy.alpha) for psi in FLIPS)
        row = PowerRow(probe, "gap", size.per_group, check.gap.max, chances, needed=0)
        yield _all_groups(row, size.groups)


def _row(
    probe: str, rule: str, n: int, margin: float, *, policy: GatePolicy, method: Method
) -> PowerRow:
    alpha = policy.alpha
    chances = tuple(_chance(n, psi, margin, alpha, method) for psi in FLIPS)
    short = chances[FLIPS.index(EXPECTED)] < POWER
    enough = n_to_decide(EXPECTED, margin, alpha, method=method) if short and margin > 0 else None
    return PowerRow(probe, rule, n, margin, chances, policy.min_items, enough)


def _chance(n: int, psi: float, margin: float, alpha: float, method: Method) -> float:
    return chance_to_pass(min(n, SUMMED_UP_TO), psi, margin, alpha, method=method)


def _all_groups(row: PowerRow, groups: int) -> PowerRow:
    """Every group has to pass, so the chances multiply."""
    return replace(row, chances=tuple(chance**groups for chance in row.chances))


def _gap_chance(size: Size, psi: float, gap: float, alpha: float) -> float:
    """The group's bound must stay under the gap plus the bound below the rest, each at alpha / 2.

    The rest is taken at its typical bound: minus the margin that it would pass every other time.
    """
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        margin = (low + high) / 2
        often = _chance(size.rest, psi, margin, alpha / 2, "betting") >= 0.5
        low, high = (low, margin) if often else (margin, high)
    remainder = gap - high
    if remainder <= 0:
        return 0.0
    return _chance(size.per_group, psi, remainder, alpha / 2, "betting")


def _warnings(
    policy: GatePolicy, tier: Tier, rows: tuple[PowerRow, ...], joint: tuple[float, ...]
) -> Iterator[str]:
    for probe in policy.probes(repair=False):
        if tier not in spec_of(probe).items:
            yield f"{probe}: the tier {tier} does not ask it, so its check would be missing"
        elif spec_of(probe).task:
            yield f"{probe}: its items are known to the worker alone, so its power is not told"
    for row in rows:
        yield from _row_warnings(row)
    at = FLIPS.index(EXPECTED)
    if joint[at] < POWER:
        yield f"all rules together pass such a checkpoint with chance {joint[at]:.2f}"
    for waiver in policy.waivers:
        yield f"{waiver.check}: waived until {waiver.expires} by {waiver.owner}: {waiver.reason}"
    if not rows:
        yield f"nothing of this policy is asked at the tier {tier}"


def _row_warnings(row: PowerRow) -> Iterator[str]:
    chance = row.chances[FLIPS.index(EXPECTED)]
    if row.rule in CAPS and chance < POWER:
        yield (
            f"{row.probe} {row.rule}: a candidate that is as good as this baseline is shown to be "
            f"under {row.margin:g} with chance {chance:.2f} at n = {row.n}"
        )
    elif chance < POWER:
        enough = "more items than any suite has" if row.enough is None else f"n = {row.enough}"
        yield (
            f"{row.probe} {row.rule}: an unchanged checkpoint whose answers flip at "
            f"{EXPECTED:.0%} passes with chance {chance:.2f} at n = {row.n}; {enough} would do"
        )
    if row.n < row.needed:
        yield f"{row.probe} {row.rule}: {row.n} clusters never reach min_items {row.needed}"
