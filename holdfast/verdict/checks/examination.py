"""One check, examined: its numbers, its findings, or why it has none.

A check whose probe stands in only one file is `missing`; one whose files contradict each other, or
in which too much is lost, is `inconclusive`. Either way its rules are not tested at all, so they
can neither pass nor enter the family that guards a fail.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import fsum
from typing import Literal

import numpy as np

from holdfast.evidence.file import Evidence
from holdfast.evidence.trial import Measure
from holdfast.policy.model import Check, GatePolicy
from holdfast.probes.spec import COHERENCE
from holdfast.probes.table import spec_of
from holdfast.stats.judged import JudgeRates
from holdfast.stats.retention import RetentionTest, retention
from holdfast.verdict.checks.drift_summary import summarise
from holdfast.verdict.checks.figures import figures_of, incoherent_figures
from holdfast.verdict.checks.findings import (
    CAPS,
    RuleFinding,
    change,
    incoherence_finding,
    rate_findings,
)
from holdfast.verdict.checks.pairs import (
    Pairs,
    cut_words,
    every_form,
    incoherent,
    judged_forms,
    planned_items,
)
from holdfast.verdict.checks.rule_tests import TestedRule, rounded
from holdfast.verdict.checks.unpaired import unpaired
from holdfast.verdict.outcome import Figure

MIN_LOSSES = 100  # items below which a t test of losses decides nothing


@dataclass(frozen=True, slots=True)
class Files:
    """The evidence of one evaluation.

    `failing` is the candidate that a repair repairs, `anchor` a second baseline, pinned so that
    slow drift within the margin cannot add up unseen.
    """

    baseline: Evidence
    candidate: Evidence
    failing: Evidence | None = None
    anchor: Evidence | None = None

    @property
    def named(self) -> dict[str, Evidence]:
        named = {
            "baseline": self.baseline,
            "candidate": self.candidate,
            "repaired_from": self.failing,
            "anchor": self.anchor,
        }
        return {name: file for name, file in named.items() if file is not None}


@dataclass(frozen=True, slots=True)
class Slice:
    """One group's own numbers."""

    group: str
    n: int
    n_unscored: int
    baseline: float | None
    candidate: float | None
    delta: float | None


@dataclass(frozen=True, slots=True)
class Examination:
    """A check's numbers; with `trouble` (and the outcome it forces) there are no findings.

    `sliced` holds the pairs of a sliced check, for the tables beside its rules.
    """

    n: int = 0
    n_unscored: int = 0
    baseline: float | None = None
    candidate: float | None = None
    delta: float | None = None
    anchor: float | None = None
    findings: tuple[RuleFinding, ...] = ()
    slices: tuple[Slice, ...] = ()
    sliced: Pairs | None = None
    figures: tuple[Figure, ...] = ()
    trouble: str | None = None
    forced: Literal["missing", "inconclusive"] = "inconclusive"

    def set_aside(self) -> "Examination":
        """The numbers without any finding: these files can carry no verdict."""
        return replace(
            self, findings=(), trouble=self.trouble or "not judged: the files carry no verdict"
        )


def examine(probe: str, check: Check, policy: GatePolicy, files: Files) -> Examination:
    """The probe's trials or measures under a check's rules."""
    if spec_of(probe).advisory:
        return _examine_drift(probe, check, files)
    if spec_of(probe).measure:
        return _examine_losses(probe, check, policy, files)
    examination = _examine_rate(probe, check, policy, files)
    if files.anchor is None:
        return examination
    beside = Files(files.anchor, files.candidate)
    anchored = _examine_rate(probe, check.beside_anchor, policy, beside)
    return _with_anchor(examination, anchored)


def _with_anchor(examination: Examination, anchored: Examination) -> Examination:
    """The findings against both baselines; a cap compares with neither, so it is tested once."""
    both = replace(examination, anchor=anchored.baseline)
    if examination.trouble is None and anchored.trouble is not None:
        trouble = f"beside the anchor: {anchored.trouble}"
        return replace(both, findings=(), trouble=trouble, forced=anchored.forced)
    if examination.trouble:
        return both
    again = [
        replace(finding, against="anchor")
        for finding in anchored.findings
        if finding.rule not in CAPS
    ]
    return replace(both, findings=tuple(_with_either_in_sight([*examination.findings, *again])))


def _with_either_in_sight(findings: Sequence[RuleFinding]) -> Iterator[RuleFinding]:
    """Findings with the smallest p_worst that a finding of their tier and group has."""
    worst: defaultdict[tuple[str, str | None], float] = defaultdict(lambda: 1.0)
    of_badness = [finding for finding in findings if finding.rule != "max_incoherent"]
    for finding in of_badness:
        worst[finding.tier, finding.group] = min(
            finding.p_worst, worst[finding.tier, finding.group]
        )
    yield from (
        replace(finding, p_worst=worst[finding.tier, finding.group]) for finding in of_badness
    )
    yield from (finding for finding in findings if finding.rule == "max_incoherent")


def _examine_rate(probe: str, check: Check, policy: GatePolicy, files: Files) -> Examination:
    sides = {"baseline": files.baseline, "candidate": files.candidate}
    forms = partial(every_form, probe, *sides.values(), sequential=policy.sequential)
    all_forms = replace(forms(), graded=check.judge == "rubric")
    silent = judged_forms(probe, forms(value=incoherent))
    pairs = judged_forms(probe, all_forms)
    rates = pairs.rates()
    examination = Examination(
        n=pairs.n,
        n_unscored=pairs.lost,
        baseline=rounded(rates[0]) if rates else None,
        candidate=rounded(rates[1]) if rates else None,
        delta=change(pairs),
        slices=tuple(_slice(pairs, group) for group in pairs.groups) if check.slice_by else (),
        sliced=pairs if check.slice_by else None,
        figures=(
            *figures_of(probe, all_forms, files.baseline, files.candidate),
            *incoherent_figures(silent),
        ),
    )
    absent = [
        name for name, file in sides.items() if not any(t.probe == probe for t in file.trials)
    ]
    if absent:
        return replace(examination, trouble=_nothing_in(absent), forced="missing")
    if trouble := unpaired(probe, check, policy.max_unscored, sides, pairs):
        return replace(examination, trouble=trouble)
    judge = judge_rates(probe, check, files.candidate) if check.max is not None else None
    if judge is not None and not pairs.yes_or_no:
        return replace(
            examination,
            trouble="judge_error is of a judge that says yes or no, but the badness here is graded",
        )
    read = COHERENCE in files.candidate.manifest.judges
    findings = (
        *rate_findings(check, pairs, policy, judge),
        *incoherence_finding(check, silent, policy, read=read),
    )
    return replace(examination, findings=findings)


def judge_rates(probe: str, check: Check, file: Evidence) -> JudgeRates | None:
    """The measured error of the check's judge, where the manifest carries it."""
    error = file.manifest.judge_error.get(check.judge or spec_of(probe).judge or "")
    return JudgeRates(error.sensitivity, error.specificity) if error else None


def _slice(pairs: Pairs, group: str) -> Slice:
    members = pairs.only(group)
    before, after = members.rates() or (None, None)
    return Slice(
        group,
        n=members.n,
        n_unscored=members.lost,
        baseline=None if before is None else rounded(before),
        candidate=None if after is None else rounded(after),
        delta=change(members),
    )


def _examine_drift(probe: str, check: Check, files: Files) -> Examination:
    """An early warning: its numbers and no finding, so that it can neither pass nor fail."""
    measures = [measure for measure in files.candidate.measures if measure.probe == probe]
    planned, summary = planned_items(probe, files.candidate), summarise(measures, check.max)
    if summary is None:
        return Examination(n=planned, trouble=_nothing_in(["candidate"]), forced="missing")
    return Examination(
        n=max(planned, summary.answers),
        n_unscored=max(0, planned - summary.answers),
        candidate=rounded(summary.mean),
        trouble=summary.sentence,
    )


def _examine_losses(probe: str, check: Check, policy: GatePolicy, files: Files) -> Examination:
    files = replace(files, anchor=None)  # what was gained is asked of the parent alone
    rows = {name: _measures(probe, file) for name, file in files.named.items()}
    items = sorted(set().union(*rows.values()))
    n = max(len(items), planned_items(probe, *files.named.values()))
    common = [item for item in items if all(item in row for row in rows.values())]
    before, after = (_mean_loss(rows[side], common) for side in ("baseline", "candidate"))
    examination = Examination(
        n=n,
        n_unscored=n - len(common),
        baseline=before and rounded(before),
        candidate=after and rounded(after),
        delta=None if before is None or after is None else rounded(after - before),
    )
    absent = [name for name, row in rows.items() if not row]
    if absent or check.min_gain_kept is None or files.failing is None:
        return replace(examination, trouble=_nothing_in(absent), forced="missing")
    trouble = "; ".join(cut_words(probe, files.named)) or _loss_trouble(rows, common, n)
    if trouble:
        return replace(examination, trouble=trouble)
    test = _retention(rows, common, check.min_gain_kept, policy.alpha)
    if not test.gain_shown:
        return replace(
            examination,
            trouble="no gain to keep: the repaired candidate is not shown to have "
            "learnt the task better than the baseline",
        )
    few = (
        None
        if n >= policy.min_items
        else (f"{n} items are too few to pass, at least {policy.min_items} are needed")
    )
    answer = TestedRule(rounded(test.p_pass), rounded(test.p_fail), None)
    retained = None if test.retained is None else rounded(test.retained)
    finding = RuleFinding(
        "min_gain_kept", check.tier, None, check.min_gain_kept, n, n, retained, answer, obstacle=few
    )
    return replace(examination, findings=(finding,))


def _loss_trouble(rows: dict[str, dict[str, Measure]], common: list[str], n: int) -> str | None:
    """Why the losses cannot be tested; a loss has no worst value, so none may be absent."""
    if len(common) < n:
        return f"{n - len(common)} of {n} held-out items have no loss in some file, expected all"
    if n < MIN_LOSSES:
        return f"{n} held-out items, expected at least {MIN_LOSSES}"
    if any(len({(row[i].weight, row[i].unit) for row in rows.values()}) > 1 for i in common):
        return "the files disagree on the weight or unit of an item"
    return None


def _retention(
    rows: dict[str, dict[str, Measure]], items: list[str], share: float, alpha: float
) -> RetentionTest:
    values = {name: np.array([row[i].value for i in items]) for name, row in rows.items()}
    return retention(
        values["baseline"],
        values["repaired_from"],
        values["candidate"],
        np.array([rows["baseline"][i].weight for i in items]),
        share,
        alpha,
    )


def _measures(probe: str, file: Evidence) -> dict[str, Measure]:
    return {m.item: m for m in file.measures if m.probe == probe}


def _mean_loss(row: dict[str, Measure], items: list[str]) -> float | None:
    if not items:
        return None
    return fsum(row[i].value for i in items) / fsum(row[i].weight for i in items)


def _nothing_in(absent: list[str]) -> str:
    return f"not in the evidence of the {' and of the '.join(absent)}"
