"""Which test answers a rule, and at what its lost pairs are taken, against the tests themselves."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.evidence.file import gather
from holdfast.stats.betting import betting_bound, betting_p
from holdfast.stats.caps import cap_p, rate_bounds
from holdfast.stats.groups import gap_p
from holdfast.stats.intervals import paired_interval
from holdfast.stats.judged import JudgeRates, judged_p
from holdfast.stats.paired import exact_p
from holdfast.stats.power import mde
from holdfast.verdict.checks.lost import ANY, ANY_OF_REST, NO_BETTER, NO_WORSE
from holdfast.verdict.checks.pairs import Pairs, pair_up
from holdfast.verdict.checks.rule_tests import (
    change_beyond,
    change_test,
    detectable_effect,
    enough_to_decide,
    flip_share,
    gap_beyond,
    gap_test,
    level_beyond,
    level_test,
    rounded,
)
from tests.support.evidence import manifest, share, trials

ALPHA = 0.05
Side = list[float | None]


def paired(before: Side, after: Side, *, clusters_of: int = 1, unseen: int = 0) -> Pairs:
    files = [
        gather(manifest(), trials("harm.direct", side, clusters_of=clusters_of))
        for side in (before, after)
    ]
    return replace(pair_up("harm.direct", *files), unseen=unseen)


MIXED: tuple[Side, Side] = (
    [*share(4, 97), None, 0.0, 1.0],
    [0.0, *share(9, 96), 0.0, None, None],
)


def test_counts_are_tested_exactly_with_lost_pairs_at_their_worst_for_either_answer() -> None:
    pairs = paired(*MIXED)
    assert (pairs.flips(), pairs.lost, pairs.n) == ((6, 1), 3, 100)
    answer = change_test(pairs, 0.1, ALPHA)
    assert answer.p_pass == rounded(exact_p(9, 1, 100, 0.1, side="pass"))
    assert answer.p_fail == rounded(exact_p(6, 1, 100, 0.1, side="fail"))
    low, high = paired_interval(6, 1, 100, ALPHA)[0], paired_interval(9, 1, 100, ALPHA)[1]
    assert answer.ci == (rounded(low), rounded(high))
    assert change_beyond(pairs, 0.1) == answer.p_fail


@pytest.mark.parametrize("kind", ["clusters", "sequential", "graded", "half badness"])
def test_everything_else_goes_to_the_betting_test(kind: str) -> None:
    pairs = paired(*MIXED, clusters_of=2 if kind == "clusters" else 1)
    pairs = replace(pairs, sequential=kind == "sequential", graded=kind == "graded")
    if kind == "half badness":
        halves: Side = [0.5 if value else value for value in MIXED[1]]
        pairs = paired(MIXED[0], halves)
    harsh, mild = pairs.changes(ANY), pairs.changes(NO_BETTER)
    answer = change_test(pairs, 0.1, ALPHA)
    assert answer.p_pass == rounded(betting_p(harsh, 0.55, side="pass"))
    assert answer.p_fail == rounded(betting_p(mild, 0.55, side="fail"))
    low = 2 * betting_bound(mild, ALPHA, side="lower") - 1
    high = 2 * betting_bound(harsh, ALPHA, side="upper") - 1
    assert answer.ci == (rounded(low), rounded(high))
    assert change_beyond(pairs, 0.1) == answer.p_fail


def test_where_something_is_unseen_both_tests_have_to_show_it() -> None:
    pairs = paired([0.0] * 120, [0.0] * 120, unseen=1)
    answer = change_test(pairs, 0.1, ALPHA)
    bet = rounded(betting_p(pairs.changes(ANY), 0.55, side="pass"))
    counted = rounded(exact_p(1, 0, 121, 0.1, side="pass"))
    assert answer.p_pass == max(bet, counted) == bet
    assert answer.ci is not None
    assert answer.ci[1] >= rounded(paired_interval(1, 0, 121, ALPHA)[1])
    worse = paired([0.0] * 120, share(24, 120), unseen=1)
    assert change_test(worse, 0.1, ALPHA).p_fail == change_beyond(worse, 0.1)
    assert change_beyond(worse, 0.1) > rounded(exact_p(24, 0, 121, 0.1, side="fail"))


def test_a_cap_on_counts_is_clopper_and_pearsons_with_lost_answers_bad_for_a_pass() -> None:
    pairs = paired(*MIXED)
    bad = round(float(pairs.levels(NO_BETTER).low.sum()))
    answer = level_test(pairs, 0.2, ALPHA)
    assert answer.p_pass == rounded(cap_p(bad + 3, 100, 0.2, side="pass"))
    assert answer.p_fail == rounded(cap_p(bad, 100, 0.2, side="fail")) == level_beyond(pairs, 0.2)
    low, high = rate_bounds(bad, 100, ALPHA)[0], rate_bounds(bad + 3, 100, ALPHA)[1]
    assert answer.ci == (rounded(low), rounded(high))


def test_where_something_is_unseen_both_tests_have_to_show_a_cap() -> None:
    pairs = paired([0.0] * 120, share(6, 120), unseen=1)
    answer = level_test(pairs, 0.15, ALPHA)
    bet = rounded(betting_p(pairs.levels(ANY), 0.15, side="pass"))
    assert answer.p_pass == bet > rounded(cap_p(7, 121, 0.15, side="pass"))
    assert answer.ci is not None
    assert answer.ci[1] > rounded(rate_bounds(7, 121, ALPHA)[1])
    assert answer.ci[0] <= rounded(rate_bounds(6, 121, ALPHA)[0])
    bets = betting_p(pairs.levels(NO_BETTER), 0.02, side="fail")
    assert level_beyond(pairs, 0.02) == rounded(bets) > rounded(cap_p(6, 121, 0.02, side="fail"))


def test_a_cap_on_clusters_bets_on_their_mean_badness() -> None:
    pairs = paired(*MIXED, clusters_of=2)
    harsh, mild = pairs.levels(ANY), pairs.levels(NO_BETTER)
    answer = level_test(pairs, 0.2, ALPHA)
    assert answer.p_pass == rounded(betting_p(harsh, 0.2, side="pass"))
    assert answer.p_fail == rounded(betting_p(mild, 0.2, side="fail")) == level_beyond(pairs, 0.2)
    low, high = (
        betting_bound(x, ALPHA, side=side) for x, side in ((mild, "lower"), (harsh, "upper"))
    )
    assert answer.ci == (rounded(low), rounded(high))


def test_a_judge_that_errs_is_asked_through_either_test() -> None:
    judge = JudgeRates((95, 100), (97, 100))
    for pairs in (paired(*MIXED), paired(*MIXED, clusters_of=2)):
        answer = level_test(pairs, 0.3, ALPHA, judge)
        plain = level_test(pairs, 0.3, ALPHA)
        assert answer.p_pass > plain.p_pass
        assert answer.ci is not None
        assert plain.ci is not None
        assert answer.ci[0] <= plain.ci[0] < plain.ci[1] <= answer.ci[1]
        assert answer.p_fail == level_beyond(pairs, 0.3, judge)
    harsh = paired(*MIXED, clusters_of=2).levels(ANY)
    wanted = judged_p(lambda rate: betting_p(harsh, rate, side="pass"), 0.3, judge, side="pass")
    assert answer.p_pass == rounded(wanted)


def test_a_gap_bounds_each_side_at_half_of_alpha_and_loses_against_its_answer() -> None:
    group, rest = paired(*MIXED), paired([0.0] * 60, [*share(3, 58), None, None])
    answer = gap_test(group, rest, 0.2, ALPHA)
    harsh, mild = group.changes(ANY), group.changes(NO_BETTER)
    others_harsh, others_mild = rest.changes(ANY_OF_REST), rest.changes(NO_WORSE)
    assert answer.p_pass == rounded(gap_p(harsh, others_harsh, 0.2, side="pass"))
    assert answer.p_fail == rounded(gap_p(mild, others_mild, 0.2, side="fail"))
    assert gap_beyond(group, rest, 0.2) == answer.p_fail
    half = ALPHA / 2
    low = betting_bound(mild, half, side="lower") - betting_bound(others_mild, half, side="upper")
    high = betting_bound(harsh, half, side="upper") - betting_bound(
        others_harsh, half, side="lower"
    )
    assert answer.ci == (rounded(2 * low), rounded(2 * high))


@pytest.mark.parametrize(
    ("clusters_of", "sequential", "method", "size"),
    [(1, False, "exact", 100), (2, False, "betting", 50), (1, True, "sequential", 100)],
)
def test_what_can_be_seen_is_that_of_the_test_that_decides(
    clusters_of: int, method: str, size: int, *, sequential: bool
) -> None:
    pairs = replace(paired(*MIXED, clusters_of=clusters_of), sequential=sequential)
    wanted = mde(size, 0.07, ALPHA, method=method)  # type: ignore[arg-type]
    assert flip_share(pairs) == 0.07
    assert detectable_effect(pairs, ALPHA) == rounded(wanted)


def test_unseen_clusters_count_towards_what_can_be_seen() -> None:
    pairs = replace(paired(*MIXED, clusters_of=2), unseen=10)
    assert detectable_effect(pairs, ALPHA) == rounded(mde(60, 0.07, ALPHA, method="betting"))
    assert detectable_effect(Pairs(()), ALPHA) is None


def test_flips_are_counted_in_whole_points_upwards_and_are_never_none() -> None:
    assert flip_share(paired([0.0] * 300, [0.0] * 300)) == 0.01
    assert flip_share(paired([0.0] * 300, [*share(4, 300)])) == 0.02
    assert flip_share(paired([1.0, 0.0], [0.0, 1.0])) == 1.0


def test_a_sentence_says_how_many_items_are_enough_where_they_are_not_there() -> None:
    """(1.645 + .842)^2 * .07 / .05^2 is 173.1; at margin .2 it is 10.8, and 100 are there."""
    pairs = paired(*MIXED)
    assert enough_to_decide(pairs, 0.05, ALPHA) == 174
    assert enough_to_decide(pairs, 0.2, ALPHA) is None
    assert enough_to_decide(pairs, 0.0, ALPHA) is None
    assert enough_to_decide(Pairs(()), 0.05, ALPHA) is None


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-12, 1e6), st.floats(-1e-13, 1e-13))
def test_the_last_bits_of_a_machine_are_rounded_away(number: float, error: float) -> None:
    assert rounded(number) == pytest.approx(number, rel=1e-9)
    assert rounded(rounded(number)) == rounded(number)
    assert rounded(1 / 3) == rounded(1 / 3 * (1 + error)) == 0.3333333333


BADNESS = st.sampled_from([0.0, 0.5, 1.0, None])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(BADNESS, BADNESS), min_size=1, max_size=30), st.integers(1, 3))
def test_intervals_hold_the_estimate_and_never_contradict_both_answers(
    sides: list[tuple[float | None, float | None]], clusters_of: int
) -> None:
    before, after = map(list, zip(*sides, strict=True))
    pairs = paired(before, after, clusters_of=clusters_of)
    for answer in (change_test(pairs, 0.1, ALPHA), level_test(pairs, 0.1, ALPHA)):
        assert answer.ci is not None
        assert answer.ci[0] <= answer.ci[1]
        assert max(answer.p_pass, answer.p_fail) > ALPHA
