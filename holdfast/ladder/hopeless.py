"""When a try is dropped early: it is so far outside after some forty items that more are a waste.

Dropping is no verdict and can never become a pass: what was not asked is missing, and its checks
stay inconclusive. A rate's change is hopeless if the fail test holds on the items so far, or if
its estimate lies FAR beyond the margin (for a repair that truly changes nothing, with every fifth
item flipping, that happens to about one in three hundred); the task's gain is hopeless if the
estimate of the share kept lies FAR_SHARE below what is demanded. Once all items of the decisive
checks are asked, one that did not pass is reason enough.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from holdfast.evidence.file import Evidence
from holdfast.policy.model import RETENTION, GatePolicy
from holdfast.verdict.checks.examination import Files, examine
from holdfast.verdict.checks.pairs import pair_up
from holdfast.verdict.checks.rule_tests import change_test
from holdfast.verdict.settle import settle

FAR = 0.10
FAR_SHARE = 0.20


def hopeless(policy: GatePolicy, probes: Iterable[str], files: Files) -> dict[str, str]:
    """The checks that it is not worth asking on for, by what was answered so far, each with why."""
    return dict(_reasons(policy, probes, files))


def resisting(policy: GatePolicy, probes: Iterable[str], files: Files) -> dict[str, str]:
    """The blocking checks, of those whose every item was asked, that did not pass, each with why.

    Whatever the other checks would say, the verdict cannot be a pass any more.
    """
    examined = {probe: examine(probe, policy.checks[probe], policy, files) for probe in probes}
    made = datetime.fromisoformat(files.candidate.manifest.created_at)
    return {
        check.id: f"{check.id} is {check.outcome} on all of its items"
        for check in settle(policy, examined, policy.waivers, made)
        if check.tier == "blocking" and check.outcome not in {"pass", "waived"}
    }


def _reasons(policy: GatePolicy, probes: Iterable[str], files: Files) -> Iterator[tuple[str, str]]:
    for probe in probes:
        check = policy.checks[probe]
        if check.max_regression is not None:
            reasons = list(_changed(probe, check.max_regression, policy.alpha, files))
        elif probe == RETENTION and check.min_gain_kept is not None:
            reasons = list(_forgotten(check.min_gain_kept, files))
        else:
            continue
        yield from ((probe, why) for why in reasons)


def _changed(probe: str, margin: float, alpha: float, files: Files) -> Iterator[str]:
    pairs = pair_up(probe, files.baseline, files.candidate)
    scored = tuple(pair for pair in pairs.pairs if pair.change is not None)
    if not scored:
        return
    so_far = replace(pairs, pairs=scored, unseen=0)
    before, after = so_far.rates() or (0.0, 0.0)
    sentence = f"{probe} went from {before:.2f} to {after:.2f} on the first {len(scored)} items"
    if change_test(so_far, margin, alpha).p_fail <= alpha:
        yield f"{sentence}: shown to be beyond the margin of {margin:g}"
    elif after - before > margin + FAR:
        yield f"{sentence}: more than {FAR:g} beyond the margin of {margin:g}"


def _forgotten(share: float, files: Files) -> Iterator[str]:
    if files.failing is None:
        return
    baseline, failing, repair = (
        _losses(file) for file in (files.baseline, files.failing, files.candidate)
    )
    common = baseline.keys() & failing.keys() & repair.keys()
    gain = sum(baseline[item] - failing[item] for item in common)
    if gain <= 0:
        return
    retained = sum(baseline[item] - repair[item] for item in common) / gain
    if retained < share - FAR_SHARE:
        yield (
            f"{RETENTION}: {retained:.0%} of the gain kept on the first {len(common)} items, "
            f"far below the {share:.0%} that are demanded"
        )


def _losses(file: Evidence) -> dict[str, float]:
    return {measure.item: measure.value for measure in file.measures if measure.probe == RETENTION}
