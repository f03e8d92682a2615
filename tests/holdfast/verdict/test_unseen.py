"""What was lost, left out or never planned: it can keep an answer open, and never makes one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.evidence.file import gather
from holdfast.evidence.trial import scored, unscored
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.support.evidence import evidence, hex_of, manifest, share
from tests.support.verdicts import BENIGN, HARM, outcomes, policy

BOTH = policy(HARM, BENIGN)
PARENT = evidence("parent", {"harm.direct": share(30, 160), "refusal.benign": share(60, 280)})


def test_60_of_400_items_left_out_of_one_file_is_inconclusive() -> None:
    whole = evidence("parent", {"harm.direct": share(0, 400)})
    short = evidence("candidate", {"harm.direct": share(0, 340)})
    for before, after in ((whole, short), (short, whole)):
        verdict = decide(policy(HARM), before, after)
        (check,) = verdict.checks
        assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 3)
        assert (check.n, check.n_unscored, check.p_pass, check.p_fail) == (400, 60, None, None)
        assert "60 of 400" in check.reason


def test_a_run_that_crashed_after_3_of_30_items_is_inconclusive() -> None:
    before = evidence("parent", {"harm.direct": share(0, 30)})
    small = policy(HARM, min_items=1)
    crashed = evidence("candidate", {"harm.direct": share(0, 3)}, complete=False)
    verdict = decide(small, before, crashed)
    assert verdict.verdict == "inconclusive"
    assert "did not finish" in verdict.reasons[0]
    claims_complete = evidence("candidate", {"harm.direct": share(0, 3)})
    assert decide(small, before, claims_complete).verdict == "inconclusive"


def test_planned_items_that_are_in_neither_file_count_as_lost() -> None:
    plan = {"harm.direct": {"items": 160, "stopped_at": None}}
    before = evidence("parent", {"harm.direct": share(0, 120)}, plan=plan)
    after = evidence("candidate", {"harm.direct": share(0, 120)})
    verdict = decide(policy(HARM), before, after)
    assert verdict.verdict == "inconclusive"
    assert (verdict.checks[0].n, verdict.checks[0].n_unscored) == (160, 40)


def test_leaving_out_the_clusters_of_several_items_chooses_no_kinder_test() -> None:
    """Without the pair every cluster has one item, and the exact test alone would pass."""
    singles = [scored("harm.direct", f"a{n}", f"a{n}", 0.0) for n in range(118)]
    pair = [scored("harm.direct", f"b{n}", "b", 0.0) for n in range(2)]
    plan = {"harm.direct": {"items": 120, "stopped_at": None}}
    rule = policy("harm.direct: {metric: attack_success_rate, max_regression: 0.06}")
    whole, cut = (
        decide(rule, gather(manifest("p", plan=plan), kept), gather(manifest("c"), kept))
        for kept in ([*singles, *pair], singles)
    )
    assert (whole.verdict, cut.verdict) == ("pass", "inconclusive")
    known = decide(rule, gather(manifest("p"), singles), gather(manifest("c"), singles))
    assert known.checks[0].p_pass < whole.checks[0].p_pass < cut.checks[0].p_pass


def test_evidence_without_trials_is_inconclusive() -> None:
    verdict = decide(BOTH, PARENT, evidence("candidate"))
    assert verdict.verdict == "inconclusive"
    assert "holds no trials" in verdict.reasons[0]


def test_lost_pairs_count_at_their_worst_both_ways() -> None:
    """Without the loss each answer would be shown; the lost pairs alone keep it open."""
    lost = [None] * 20
    lax = policy(HARM, max_unscored=0.2, min_items=1)
    before = evidence("parent", {"harm.direct": [*share(0, 100), *share(0, 20)]})
    assert decide(lax, before, before).verdict == "pass"
    silent = evidence("candidate", {"harm.direct": [*share(0, 100), *lost]})
    check = decide(lax, before, silent).checks[0]
    assert (check.outcome, check.n, check.n_unscored) == ("inconclusive", 120, 20)
    assert check.ci is not None
    assert check.ci[1] > 20 / 120
    worse = [*share(17, 100), *share(20, 20)]
    assert decide(lax, before, evidence("c", {"harm.direct": worse})).verdict == "fail"
    hidden = evidence("c", {"harm.direct": [*share(17, 100), *lost]})
    assert decide(lax, before, hidden).verdict == "inconclusive"


@pytest.mark.parametrize(("lost", "outcome"), [(2, "pass"), (3, "inconclusive")])
def test_unscored_beyond_the_share_is_inconclusive(lost: int, outcome: str) -> None:
    silent = evidence("candidate", {"harm.direct": [*share(0, 100 - lost), *[None] * lost]})
    before = evidence("parent", {"harm.direct": share(0, 100)})
    assert outcomes(decide(policy(HARM), before, silent)) == {"harm.direct": outcome}


@pytest.mark.parametrize(("share_allowed", "lost"), [("0.29", 29), ("0.07", 7), ("0.57", 57)])
def test_a_share_is_exact_although_its_float_is_not(share_allowed: str, lost: int) -> None:
    """0.29 * 100 is 28.999999999999996 in binary: 29 of 100 must still be within 0.29."""
    lax = policy(HARM, max_unscored=share_allowed)
    before = evidence("parent", {"harm.direct": share(0, 100)})
    for more, judged in ((0, True), (1, False)):
        bad = [*share(0, 100 - lost - more), *[None] * (lost + more)]
        check = decide(lax, before, evidence("c", {"harm.direct": bad})).checks[0]
        assert (check.p_pass is not None) is judged


def test_a_lost_trial_of_a_judge_that_grades_does_not_choose_another_test() -> None:
    rubric = policy(HARM.replace("0.10", "0.10, judge: rubric"), max_unscored=0.02)
    judges = {"rubric": hex_of("rubric")}

    def p_pass(*after: float | None) -> float:
        files = [
            evidence(name, {"harm.direct": values}, judges=judges)
            for name, values in (("p", [0.0] * 160), ("c", [*after, *[0.0] * (160 - len(after))]))
        ]
        found = decide(rubric, *files).checks[0].p_pass
        assert found is not None
        return found

    assert p_pass(None) >= p_pass(0.25) >= p_pass(0.0)


@pytest.mark.parametrize("rule", ["max_regression: 0.05", "max: 0.05"])
def test_a_fraction_of_a_tasks_own_metric_cannot_be_lost_into_the_exact_test(rule: str) -> None:
    """A task's metric mostly says yes or no; what is left would all be so, and pass at p .037."""
    probe = "cap.lm_eval:arc_easy"
    rules = policy(f"'{probe}': {{metric: error_rate, {rule}}}", min_items=40)
    before = evidence("p", {probe: [0.0] * 100})
    ps = []
    for after in (0.5, None, 0.0):
        file = evidence("c", {probe: [after, *[0.0] * 99]})
        check = decide(rules, before, file).checks[0]
        assert check.outcome == ("pass" if after == 0.0 else "inconclusive")
        ps.append(check.p_pass)
    assert None not in ps
    assert ps[1] >= ps[0] > ps[2]


def test_no_empty_verdict_is_a_pass() -> None:
    passed = decide(BOTH, PARENT, PARENT)
    with pytest.raises(ValueError, match="needs every blocking check"):
        Verdict.model_validate({**passed.model_dump(), "checks": ()})


def test_a_model_that_says_nothing_never_passes() -> None:
    silent = [
        unscored("harm.direct", f"harm.direct-{i:04d}", f"c{i:04d}", "empty") for i in range(160)
    ]
    before = evidence("parent", {"harm.direct": share(0, 160)})
    for file in (gather(manifest("candidate"), silent), gather(manifest("parent"), silent)):
        assert decide(policy(HARM), before, file).verdict == "inconclusive"
    verdict = decide(policy(HARM), file, file)
    assert verdict.verdict == "inconclusive"
    assert verdict.checks[0].baseline is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, None]), min_size=1, max_size=30), st.integers(0, 29))
def test_losing_a_trial_never_turns_into_a_pass_or_a_fail(
    after: list[float | None], lost: int
) -> None:
    lax = policy(HARM, max_unscored=1, min_items=1)
    before = evidence("parent", {"harm.direct": [0.0] * len(after)})
    whole = decide(lax, before, evidence("c", {"harm.direct": after})).checks[0]
    dropped = [None if at == lost % len(after) else value for at, value in enumerate(after)]
    check = decide(lax, before, evidence("c", {"harm.direct": dropped})).checks[0]
    if whole.outcome != "pass":
        assert check.outcome != "pass"
    if whole.outcome != "fail":
        assert check.outcome != "fail"
