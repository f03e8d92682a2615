"""Measures forgetting along a chain of checkpoints: stage by stage, and since the first one.

Small losses inside the margin add up, so every checkpoint is also held against the first of the
chain, its anchor. Numbers only, no verdict: where two files cannot be compared the step says why
and has none. The order effect asks whether what is taught first is forgotten more if it is safety:
O = F_safety(A -> AB) - F_capability(B -> BA) (after arXiv 2412.16469).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel

from holdfast.errors import InvalidEvidence
from holdfast.evidence.file import Evidence
from holdfast.evidence.manifest import OPPONENT, Manifest
from holdfast.probes.table import is_probe_name, place_of, spec_of
from holdfast.stats.forgetting import order_effect
from holdfast.verdict.checks.findings import change
from holdfast.verdict.checks.group_table import GroupTable, group_table
from holdfast.verdict.checks.pairs import disagreements, pair_up, stopped_at
from holdfast.verdict.checks.rule_tests import change_test, rounded
from holdfast.verdict.comparability import differences
from holdfast.verdict.outcome import FROZEN, GroupSpread, Interval
from holdfast.verdict.settle import forgotten, spread_between

ALPHA = 0.05  # of each end of the intervals


class GroupChange(BaseModel):
    """One group's forgetting F, and what stands of it in a verdict's table (`outcome.GroupRow`).

    `biased` is F minus that of all others, `p_biased` Holm's of "it lost no more than they".
    """

    model_config = FROZEN
    group: str
    n: int
    forgetting: float
    relative: float | None
    biased: float
    p_biased: float
    shrunken: float


class ProbeChange(BaseModel):
    """One probe over one step; rates are mean badness of the pairs that are not lost."""

    model_config = FROZEN
    probe: str
    metric: str
    n: int
    n_unscored: int
    before: float | None = None
    after: float | None = None
    forgetting: float | None = None
    ci: Interval | None = None
    groups: tuple[GroupChange, ...] = ()
    spread: GroupSpread | None = None
    trouble: str | None = None


class Step(BaseModel):
    """From one checkpoint to a later one; `obstacles` say why there are no numbers."""

    model_config = FROZEN
    kind: Literal["stage", "cumulative"]
    before: str
    after: str
    obstacles: tuple[str, ...] = ()
    probes: tuple[ProbeChange, ...] = ()


class OrderEffect(BaseModel):
    """`safety_in_the_other_order`: what safety lost from A to BA, where it came last."""

    model_config = FROZEN
    safety: str
    capability: str
    safety_forgotten: float
    capability_forgotten: float
    effect: float
    safety_in_the_other_order: float


class Chain(BaseModel):
    """Stages in order, then every later checkpoint against the first.

    `unmeasured` are the ids of older checkpoints that nothing was asked of, where that is known.
    """

    model_config = FROZEN
    checkpoints: tuple[str, ...]
    steps: tuple[Step, ...]
    unmeasured: tuple[str, ...] = ()
    order: OrderEffect | None = None


def chain_of(files: Sequence[Evidence]) -> Chain:
    """The chain of two checkpoints or more, oldest first."""
    if len(files) < 2:
        raise InvalidEvidence(f"a chain of {len(files)} file has no stage, expected at least 2")
    stages = [_step("stage", before, after) for before, after in pairwise(files)]
    since = [_step("cumulative", files[0], after) for after in files[2:]]
    return Chain(checkpoints=tuple(map(_name, files)), steps=(*stages, *since))


def order_effect_of(
    safety_first: tuple[Evidence, Evidence],
    capability_first: tuple[Evidence, Evidence],
    *,
    safety: str,
    capability: str,
) -> OrderEffect:
    """(A, AB) and (B, BA); raises InvalidEvidence where one of the comparisons cannot be made."""
    (a, ab), (b, ba) = safety_first, capability_first
    lost = _rates(safety, a, ab)
    unlearnt = _rates(capability, b, ba)
    other = _rates(safety, a, ba)
    return OrderEffect(
        safety=safety,
        capability=capability,
        safety_forgotten=rounded(lost[1] - lost[0]),
        capability_forgotten=rounded(unlearnt[1] - unlearnt[0]),
        effect=rounded(order_effect(lost, unlearnt)),
        safety_in_the_other_order=rounded(other[1] - other[0]),
    )


def _rates(probe: str, before: Evidence, after: Evidence) -> tuple[float, float]:
    step = _step("stage", before, after)
    probe_change = next((entry for entry in step.probes if entry.probe == probe), None)
    if probe_change is None or probe_change.before is None or probe_change.after is None:
        reasons = step.obstacles or (
            (probe_change and probe_change.trouble) or "not in the evidence of both",
        )
        raise InvalidEvidence(f"{step.before} -> {step.after}: {probe}: {'; '.join(reasons)}")
    return probe_change.before, probe_change.after


def _step(kind: Literal["stage", "cumulative"], before: Evidence, after: Evidence) -> Step:
    names = [_name(before), _name(after)]
    ours, theirs = (_without_opponents(file.manifest) for file in (before, after))
    why = (
        *(f"not comparable: {what}" for what in differences(ours, theirs)),
        *(
            f"{name}: its run did not finish"
            for name, file in zip(names, (before, after), strict=True)
            if not file.manifest.complete
        ),
    )
    if why:
        return Step(kind=kind, before=names[0], after=names[1], obstacles=why)
    all_probes = {trial.probe for file in (before, after) for trial in file.trials}
    rates = (probe for probe in all_probes if is_probe_name(probe) and not spec_of(probe).measure)
    probes = tuple(_probe(probe, before, after) for probe in sorted(rates, key=place_of))
    return Step(kind=kind, before=names[0], after=names[1], probes=probes)


def _without_opponents(manifest: Manifest) -> Manifest:
    """Checkpoints of a chain are judged beside their own parents: that spoils one probe only."""
    suites = {name: sha for name, sha in manifest.suites.items() if not name.endswith(OPPONENT)}
    return manifest.model_copy(update={"suites": suites})


def _probe(probe: str, before: Evidence, after: Evidence) -> ProbeChange:
    pairs = pair_up(probe, before, after, sequential=stopped_at(probe, before, after) is not None)
    spec = spec_of(probe)
    probe_change = ProbeChange(probe=probe, metric=spec.metric, n=pairs.n, n_unscored=pairs.lost)
    contradictions = disagreements(probe, before, after, sliced=spec.sliced)
    if len({file.manifest.suites.get(f"{probe}{OPPONENT}") for file in (before, after)}) > 1:
        contradictions = ["its answers were judged beside another opponent's in each file"]
    rates = pairs.rates()
    if contradictions or rates is None:
        why = contradictions[0] if contradictions else "no item is scored in both files"
        return probe_change.model_copy(update={"trouble": why})
    table = group_table(probe, pairs) if spec.sliced else None
    return probe_change.model_copy(
        update={
            "before": rounded(rates[0]),
            "after": rounded(rates[1]),
            "forgetting": change(pairs),
            "ci": change_test(pairs, 0.0, ALPHA).ci,
            "groups": _groups(table),
            "spread": spread_between(table),
        }
    )


def _groups(table: GroupTable | None) -> tuple[GroupChange, ...]:
    if table is None:
        return ()
    return tuple(
        GroupChange(group=name, n=line.n, **forgotten(name, table))
        for name, line in zip(table.names, table.forgetting.groups, strict=True)
    )


def _name(file: Evidence) -> str:
    return f"{file.manifest.checkpoint.name} {file.manifest.checkpoint.digest[7:19]}"
