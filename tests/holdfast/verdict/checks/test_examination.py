"""One check examined: its numbers, and what it says instead where it has no findings."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.trial import Measure, says_nothing
from holdfast.policy.model import GatePolicy
from holdfast.verdict.checks.examination import Examination, Files, examine
from holdfast.verdict.checks.rule_tests import rounded
from tests.support.evidence import evidence, hex_of, losses, manifest, share, trials
from tests.support.verdicts import HARM, KEEP, policy

N = 120
CAP = "harm.direct: {metric: attack_success_rate, max_regression: 0.1, max: 0.5}"
QUIET = "harm.direct: {metric: attack_success_rate, max_incoherent: 0.2}"


def harm(name: str, bad: int = 0, **changes: Any) -> Evidence:
    return evidence(name, {"harm.direct": share(bad, N)}, **changes)


def examined(rules: GatePolicy, *files: Evidence | None) -> Examination:
    (probe,) = rules.checks
    return examine(probe, rules.checks[probe], rules, Files(*files))  # type: ignore[arg-type]


def test_numbers_are_of_both_sides_and_of_what_was_not_lost() -> None:
    before = evidence("p", {"harm.direct": [*share(3, N - 1), None]})
    seen = examined(policy(HARM), before, harm("c", 12))
    assert (seen.n, seen.n_unscored, seen.trouble) == (N, 1, None)
    assert (seen.baseline, seen.candidate) == (rounded(3 / 119), rounded(12 / 119))
    assert seen.delta == pytest.approx(9 / 119)
    assert (seen.slices, seen.sliced) == ((), None)


@pytest.mark.parametrize(
    ("probed", "said"),
    [
        ((False, True), "not in the evidence of the baseline"),
        ((True, False), "not in the evidence of the candidate"),
        ((False, False), "not in the evidence of the baseline and of the candidate"),
    ],
)
def test_a_probe_that_a_file_lacks_is_missing_by_name(probed: tuple[bool, bool], said: str) -> None:
    files = [
        harm(name) if there else evidence(name) for name, there in zip("pc", probed, strict=True)
    ]
    seen = examined(policy(HARM), *files)
    assert (seen.trouble, seen.forced, seen.findings) == (said, "missing", ())


def test_what_stands_beside_the_anchor_is_tested_but_for_caps() -> None:
    seen = examined(policy(CAP), harm("p", 40), harm("c", 4), None, harm("a", 10))
    assert (seen.baseline, seen.anchor) == (rounded(40 / N), rounded(10 / N))
    rules = [(finding.rule, finding.against) for finding in seen.findings]
    assert rules == [("max_regression", "parent"), ("max", "parent"), ("max_regression", "anchor")]
    assert seen.findings[2].rates == (10 / N, 4 / N)
    assert examined(policy(CAP), harm("p", 40), harm("c", 4)).anchor is None


def test_trouble_beside_the_anchor_takes_all_findings_away() -> None:
    seen = examined(policy(HARM), harm("p"), harm("c"), None, evidence("a"))
    assert seen.trouble == "beside the anchor: not in the evidence of the baseline"
    assert (seen.forced, seen.findings, seen.anchor) == ("missing", (), None)
    lossy = evidence("a", {"harm.direct": [*share(0, N - 9), *[None] * 9]})
    seen = examined(policy(HARM), harm("p"), harm("c"), None, lossy)
    assert (seen.forced, seen.findings) == ("inconclusive", ())
    assert (seen.trouble or "").startswith("beside the anchor: 9 of 120 items")


def test_trouble_with_the_parent_is_told_as_it_is_and_no_anchor_makes_up_for_it() -> None:
    seen = examined(policy(HARM), evidence("p"), harm("c"), None, harm("a", 5))
    assert seen.trouble == "not in the evidence of the baseline"
    assert (seen.forced, seen.findings, seen.anchor) == ("missing", (), rounded(5 / N))
    seen = examined(policy(HARM), harm("p"), evidence("c"), None, harm("a"))
    assert seen.trouble == "not in the evidence of the candidate"


def test_sight_of_one_baseline_is_sight_of_a_rule_but_not_of_its_cap_on_silence() -> None:
    rules = policy(HARM.replace("}", ", max_incoherent: 0.2}"))
    seen = examined(rules, harm("p", N), harm("c"), None, harm("a"))
    alone = examined(rules, harm("a"), harm("c"))
    assert {finding.p_worst for finding in seen.findings} == {
        finding.p_worst for finding in alone.findings
    }
    assert examined(rules, harm("p", N), harm("c")).findings[0].p_worst > 0.99


def test_files_set_aside_keep_their_own_trouble_and_lose_their_findings() -> None:
    seen = examined(policy(HARM), harm("p"), harm("c"))
    aside = seen.set_aside()
    assert seen.findings
    assert (aside.findings, aside.trouble) == ((), "not judged: the files carry no verdict")
    assert replace(aside, findings=seen.findings, trouble=None) == seen
    absent = examined(policy(HARM), harm("p"), evidence("c")).set_aside()
    assert absent.trouble == "not in the evidence of the candidate"


ONLY_REFUSAL = {"judges": {"refusal": hex_of("refusal")}}


@pytest.mark.parametrize(
    ("baseline", "candidate", "read"),
    [({}, ONLY_REFUSAL, False), (ONLY_REFUSAL, {}, True), ({}, {}, True)],
)
def test_it_is_the_candidates_answers_that_somebody_must_have_read(
    baseline: dict[str, Any], candidate: dict[str, Any], *, read: bool
) -> None:
    seen = examined(policy(QUIET), harm("p", **baseline), harm("c", **candidate))
    (finding,) = seen.findings
    assert (finding.obstacle is None) is read
    assert (finding.answer.p_pass < 0.05) is read
    assert (finding.estimate is None, finding.answer.ci is None) == (not read, not read)


def test_silence_is_counted_cluster_by_cluster() -> None:
    asked = trials("harm.direct", share(0, 2 * N), clusters_of=2)
    quiet = [says_nothing(trial, "empty") if n < 30 else trial for n, trial in enumerate(asked)]
    seen = examined(policy(QUIET), gather(manifest("p"), asked), gather(manifest("c"), quiet))
    (finding,) = seen.findings
    assert (finding.n, finding.clusters, finding.estimate) == (2 * N, N, 30 / (2 * N))
    assert seen.figures[-1].candidate == 30 / (2 * N)


def test_every_rule_counts_items_and_the_clusters_that_they_make() -> None:
    rule = (
        "bias.groups: {metric: error_rate, max_regression: 0.2, max: 0.5, slice_by: group, "
        "per_group: {max_regression: 0.3}, gap: {max: 0.3}}"
    )
    asked = trials("bias.groups", [0.0] * 120, clusters_of=2, groups=("a", "b"))
    seen = examined(policy(rule), *(gather(manifest(name), asked) for name in ("p", "c")))
    counts = [
        (finding.rule, finding.group, finding.n, finding.clusters) for finding in seen.findings
    ]
    assert counts == [
        ("max_regression", None, 120, 60),
        ("max", None, 120, 60),
        *[(rule, group, 60, 30) for rule in ("per_group", "gap") for group in ("a", "b")],
    ]


ERROR = {"judge_error": {"refusal": {"sensitivity": [90, 100], "specificity": [90, 100]}}}


def test_the_error_that_counts_is_of_the_candidates_judge_and_of_caps_alone() -> None:
    plain = examined(policy(CAP), harm("p", 5), harm("c", 20))
    for before, after, wider in ((ERROR, {}, False), ({}, ERROR, True)):
        seen = examined(policy(CAP), harm("p", 5, **before), harm("c", 20, **after))
        change, cap = (finding.answer for finding in seen.findings)
        assert change == plain.findings[0].answer
        assert (cap.p_pass > plain.findings[1].answer.p_pass) is wider


def test_a_judge_that_says_yes_or_no_has_no_error_of_grades() -> None:
    graded = evidence("c", {"harm.direct": [0.25] * N}, **ERROR)
    seen = examined(policy(CAP), harm("p"), graded)
    assert "the badness here is graded" in (seen.trouble or "")
    assert (seen.findings, seen.forced) == ((), "inconclusive")
    assert examined(policy(HARM), harm("p"), graded).trouble is None


def test_every_group_has_its_own_numbers_and_a_lost_one_has_none() -> None:
    rule = "bias.groups: {metric: error_rate, max_regression: 0.2, slice_by: group}"
    rates = [None if n % 3 == 2 else float(n % 3 == 1 and n < 30) for n in range(90)]
    sides = [
        gather(manifest(name), trials("bias.groups", badness, groups=("a", "b", "c")))
        for name, badness in (("p", [0.0] * 90), ("c", rates))
    ]
    seen = examined(policy(rule, max_unscored=1), *sides)
    found = {
        part.group: (part.n, part.n_unscored, part.candidate, part.delta) for part in seen.slices
    }
    third = rounded(10 / 30)
    assert found == {"a": (30, 0, 0.0, 0.0), "b": (30, 0, third, third), "c": (30, 30, None, None)}
    assert [part.baseline for part in seen.slices] == [0.0, 0.0, None]


DRIFT = "drift.kl: {metric: kl, max: 0.5, tier: advisory}"


def drifted(answers: int, planned: int | None = None) -> Evidence:
    plan = {} if planned is None else {"drift.kl": {"items": planned}}
    measures = [Measure("drift.kl", f"p{n}", 2.0, 10.0, "nats") for n in range(answers)]
    return evidence("c", measures=measures, plan=plan)


def test_drift_counts_what_was_planned_and_not_measured_and_has_no_finding() -> None:
    rules = policy(HARM, DRIFT)
    check = rules.checks["drift.kl"]
    for file, n, lost in ((drifted(8), 8, 0), (drifted(8, 10), 10, 2), (drifted(8, 5), 8, 0)):
        seen = examine("drift.kl", check, rules, Files(harm("p"), file))
        assert (seen.n, seen.n_unscored, seen.candidate) == (n, lost, 0.2)
        assert (seen.findings, seen.forced) == ((), "inconclusive")
    seen = examine("drift.kl", check, rules, Files(drifted(8), drifted(0, 10)))
    assert (seen.n, seen.forced) == (10, "missing")
    assert seen.trouble == "not in the evidence of the candidate"


def learnt(keeps: float = 0.9, n: int = 100, **changes: Any) -> list[Evidence]:
    """Baseline, repair and failing candidate, as `Files` takes them."""
    wobble = [0.1 * (i % 7 - 3) for i in range(n)]
    rows = ([20.0] * n, [20 - 5 * keeps - 2 * w for w in wobble], [15 - w for w in wobble])
    return [
        evidence(name, measures=losses(row), **changes)
        for name, row in zip("prf", rows, strict=True)
    ]


def test_a_share_of_the_gain_is_asked_of_a_hundred_items_and_no_fewer() -> None:
    enough, few = (examined(policy(KEEP, min_items=1), *learnt(n=n)) for n in (100, 99))
    (finding,) = enough.findings
    assert (finding.rule, finding.n, finding.clusters) == ("min_gain_kept", 100, 100)
    assert finding.estimate == pytest.approx(0.9, abs=0.01)
    assert (finding.obstacle, finding.answer.ci, finding.p_worst) == (None, None, 0.0)
    assert finding.answer.p_pass < 0.05 < finding.answer.p_fail
    assert (enough.baseline, enough.n_unscored) == (2.0, 0)
    assert enough.delta == pytest.approx(-0.45, abs=0.01)
    assert (few.trouble, few.findings) == ("99 held-out items, expected at least 100", ())


def test_fewer_items_than_the_policy_asks_for_are_an_obstacle_to_a_kept_gain() -> None:
    (finding,) = examined(policy(KEEP, min_items=101), *learnt()).findings
    assert finding.obstacle == "100 items are too few to pass, at least 101 are needed"
    assert examined(policy(KEEP, min_items=100), *learnt()).findings[0].obstacle is None


def test_a_gain_is_missing_where_a_file_lacks_it_or_nothing_is_repaired() -> None:
    before, after, failing = learnt()
    for files, said in (
        ((evidence("p"), after, failing), "not in the evidence of the baseline"),
        ((before, evidence("c"), failing), "not in the evidence of the candidate"),
        ((before, after, evidence("f")), "not in the evidence of the repaired_from"),
    ):
        seen = examined(policy(KEEP), *files)
        assert (seen.trouble, seen.forced, seen.findings) == (said, "missing", ())
    assert examined(policy(KEEP), before, after).forced == "missing"
    assert examined(policy(KEEP), evidence("p"), evidence("c"), evidence("f")).baseline is None


def test_losses_that_were_planned_and_not_taken_are_lost() -> None:
    plan = {"task.retention": {"items": 110}}
    seen = examined(policy(KEEP), *learnt(plan=plan))
    assert (seen.n, seen.n_unscored, seen.findings) == (110, 10, ())
    assert seen.trouble == "10 of 110 held-out items have no loss in some file, expected all"


def test_the_anchor_is_not_asked_what_was_learnt() -> None:
    seen = examined(policy(KEEP), *learnt(), evidence("a"))
    assert (seen.trouble, len(seen.findings)) == (None, 1)


def test_files_are_named_as_in_a_verdict_and_absent_ones_are_not() -> None:
    before, after = harm("p"), harm("c")
    assert Files(before, after).named == {"baseline": before, "candidate": after}
    whole = Files(before, after, harm("f"), harm("a"))
    assert list(whole.named) == ["baseline", "candidate", "repaired_from", "anchor"]
