"""When to stop asking: an answer that has been shown once stands, however far one asks on.

The betting tests are valid at any stopping time, so a run may look after every block of clusters.
A check is done with once all its rules have passed at alpha, or one has failed at alpha / m, where
m is the size of the family that Holm will correct over: whatever the others will say, it holds.
One that could not have failed yet (`blindness`) has not passed either, and is asked on.
What a check was not asked beyond that is said in its evidence (`stopped_at`).
"""

from collections.abc import Mapping, Sequence

from holdfast.policy.model import RETENTION, CheckTier, GatePolicy
from holdfast.verdict.checks.blindness import level_of
from holdfast.verdict.checks.examination import Files, examine
from holdfast.verdict.checks.findings import RuleFinding


def family_sizes(
    policy: GatePolicy, groups: Mapping[str, int], *, repair: bool, baselines: int = 1
) -> dict[CheckTier, int]:
    """How many rules of each tier will be tested; `groups` counts those of every sliced probe."""
    sizes: dict[CheckTier, int] = {"blocking": 0, "advisory": 0}
    for probe in policy.probes(repair=repair):
        check = policy.checks[probe]
        bounds = (check.max, check.max_incoherent, check.min_gain_kept)
        sizes[check.tier] += sum(bound is not None for bound in bounds)
        if check.max_regression is not None:
            sizes[check.tier] += baselines
        for rule in (check.per_group, check.gap):
            if rule is not None:
                sizes[check.tier_of(rule)] += groups[probe] * baselines
    return sizes


def shown(policy: GatePolicy, files: Files, sizes: Mapping[CheckTier, int]) -> frozenset[str]:
    """The probes whose checks need no further items; none that is measured by its losses."""
    probes = {trial.probe for trial in files.candidate.trials} - {RETENTION}
    settled = set()
    for probe in probes & policy.checks.keys():
        check = policy.checks[probe]
        examination = examine(probe, check, policy, files)
        deciding = [finding for finding in examination.findings if finding.tier == check.tier]
        rules = sizes[check.tier]
        if _passed(deciding, policy.alpha, rules) or _failed(deciding, policy.alpha / rules):
            settled.add(probe)
    return frozenset(settled)


def _passed(deciding: Sequence[RuleFinding], alpha: float, rules: int) -> bool:
    within = [
        finding.answer.p_pass <= alpha
        and finding.obstacle is None
        and finding.p_worst <= level_of(finding.group, alpha, rules)
        for finding in deciding
    ]
    return bool(within) and all(within)


def _failed(deciding: Sequence[RuleFinding], alpha: float) -> bool:
    return any(finding.answer.p_fail <= alpha for finding in deciding)
