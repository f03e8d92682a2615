"""Picks the two tests that answer a rule on these pairs, and the interval that inverts them.

Binary badness with one item a cluster has exact tests; everything else goes to the betting test on
cluster means. Lost pairs enter at their worst for either answer, and under the betting test with
all that they may have been (see `lost`).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from scipy.special import ndtri

from holdfast.stats.betting import betting_bound, betting_p
from holdfast.stats.caps import cap_p, rate_bounds
from holdfast.stats.groups import gap_p
from holdfast.stats.intervals import mean_interval, paired_interval
from holdfast.stats.judged import JudgeRates, judged_bounds, judged_p
from holdfast.stats.paired import exact_p
from holdfast.stats.power import POWER, Method, mde
from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import Side
from holdfast.verdict.checks.lost import ANY, ANY_OF_REST, NO_BETTER, NO_WORSE
from holdfast.verdict.checks.pairs import Pairs
from holdfast.verdict.outcome import Interval

DIGITS = 10  # significant ones that are kept: the last bits of a machine must decide nothing


@dataclass(frozen=True, slots=True)
class TestedRule:
    """Shown within the margin, shown beyond it, and the margins that neither refutes at alpha."""

    p_pass: float
    p_fail: float
    ci: Interval | None


def change_test(pairs: Pairs, margin: float, alpha: float) -> TestedRule:
    """`max_regression`: the mean change of badness against a margin.

    Nobody knows of which cluster an unseen pair is. Where all clusters that are left have one item,
    those with several may be what was left out, so then both tests have to show it. So they have
    where what is left says yes or no and what is lost may have been a fraction.
    """
    if not pairs.exact:
        return _by_betting(pairs, margin, alpha)
    counted = _by_counts(pairs, margin, alpha)
    return _weaker(counted, _by_betting(pairs, margin, alpha)) if pairs.exact_in_part else counted


def change_beyond(pairs: Pairs, margin: float) -> float:
    """The p of `change_test` that shows a change beyond the margin, without the rest of it."""
    if not pairs.exact:
        return rounded(_bet_beyond(pairs, margin))
    counted = _counted_beyond(pairs, margin)
    return rounded(max(counted, _bet_beyond(pairs, margin)) if pairs.exact_in_part else counted)


def _bet_beyond(pairs: Pairs, margin: float) -> float:
    return betting_p(pairs.changes(NO_BETTER), (margin + 1) / 2, side="fail")


def _counted_beyond(pairs: Pairs, margin: float) -> float:
    return exact_p(*pairs.flips(), pairs.n, margin, side="fail")


def _by_betting(pairs: Pairs, margin: float, alpha: float) -> TestedRule:
    harsh, mild = pairs.changes(ANY), pairs.changes(NO_BETTER)
    low, high = mean_interval(mild, alpha, upper_of=harsh)
    return _rounded(
        betting_p(harsh, (margin + 1) / 2, side="pass"),
        _bet_beyond(pairs, margin),
        2 * low - 1,
        2 * high - 1,
    )


def _by_counts(pairs: Pairs, margin: float, alpha: float) -> TestedRule:
    (worse, better), lost, n = pairs.flips(), pairs.lost, pairs.n
    return _rounded(
        exact_p(worse + lost, better, n, margin, side="pass"),
        _counted_beyond(pairs, margin),
        paired_interval(worse, better, n, alpha)[0],
        paired_interval(worse + lost, better, n, alpha)[1],
    )


def _weaker(first: TestedRule, second: TestedRule) -> TestedRule:
    """The weaker of two answers: only what both tests show."""
    assert first.ci is not None and second.ci is not None  # noqa: S101, PT018
    ci = min(first.ci[0], second.ci[0]), max(first.ci[1], second.ci[1])
    return TestedRule(max(first.p_pass, second.p_pass), max(first.p_fail, second.p_fail), ci)


def level_test(
    pairs: Pairs, cap: float, alpha: float, judge: JudgeRates | None = None
) -> TestedRule:
    """`max`: the candidate's own rate against a cap; with `judge`, the rate behind its labels.

    As with changes, both tests have to show it where the exact one may not be that of what is lost.
    """
    harsh = pairs.levels(ANY)

    def within(rate: float) -> float:
        return _level_p(pairs, harsh, rate, side="pass")

    def bounds(level: float) -> Interval:
        return _level_bounds(pairs, level)

    if judge is None:
        return _rounded(within(cap), level_beyond(pairs, cap), *bounds(alpha))
    return _rounded(
        judged_p(within, cap, judge, side="pass"),
        level_beyond(pairs, cap, judge),
        *judged_bounds(bounds, judge, alpha),
    )


def level_beyond(pairs: Pairs, cap: float, judge: JudgeRates | None = None) -> float:
    """The p of `level_test` that shows a rate above the cap, without the rest of it."""
    mild = pairs.levels(NO_BETTER)

    def beyond(rate: float) -> float:
        return _level_p(pairs, mild, rate, side="fail")

    return rounded(beyond(cap) if judge is None else judged_p(beyond, cap, judge, side="fail"))


def _level_p(pairs: Pairs, levels: Ranges, rate: float, *, side: Side) -> float:
    if not pairs.exact:
        return betting_p(levels, rate, side=side)
    bad = _most_bad(levels) if side == "pass" else _least_bad(levels)
    counted = cap_p(bad, pairs.n, rate, side=side)
    return max(counted, betting_p(levels, rate, side=side)) if pairs.exact_in_part else counted


def _level_bounds(pairs: Pairs, alpha: float) -> Interval:
    mild, harsh, n = pairs.levels(NO_BETTER), pairs.levels(ANY), pairs.n
    if not pairs.exact:
        return mean_interval(mild, alpha, upper_of=harsh)
    low = rate_bounds(_least_bad(mild), n, alpha)[0]
    high = rate_bounds(_most_bad(harsh), n, alpha)[1]
    if not pairs.exact_in_part:
        return low, high
    bets = mean_interval(mild, alpha, upper_of=harsh)
    return min(low, bets[0]), max(high, bets[1])


def gap_test(group: Pairs, rest: Pairs, gap: float, alpha: float) -> TestedRule:
    """`gap`: how much more a group got worse than all others, each side bounded at alpha / 2."""
    harsh, mild = group.changes(ANY), group.changes(NO_BETTER)
    rest_harsh, rest_mild = rest.changes(ANY_OF_REST), rest.changes(NO_WORSE)
    lowest = betting_bound(mild, alpha / 2, side="lower")
    highest = betting_bound(harsh, alpha / 2, side="upper")
    return _rounded(
        gap_p(harsh, rest_harsh, gap, side="pass"),
        gap_beyond(group, rest, gap),
        2 * (lowest - betting_bound(rest_mild, alpha / 2, side="upper")),
        2 * (highest - betting_bound(rest_harsh, alpha / 2, side="lower")),
    )


def gap_beyond(group: Pairs, rest: Pairs, gap: float) -> float:
    """The p of `gap_test` that shows a group beyond the gap, without the rest of it."""
    mild, rest_mild = group.changes(NO_BETTER), rest.changes(NO_WORSE)
    return rounded(gap_p(mild, rest_mild, gap, side="fail"))


def detectable_effect(pairs: Pairs, alpha: float) -> float | None:
    """The worsening that the fail test at margin 0 would show with power 0.8, at these flips."""
    if not pairs.n:
        return None
    size = pairs.n if pairs.exact else len(pairs.clusters) + pairs.unseen
    single: Method = "sequential" if size == pairs.n else "betting"
    method = "exact" if pairs.exact else single
    return _detectable_effect(size, flip_share(pairs), alpha, method)


def enough_to_decide(pairs: Pairs, margin: float, alpha: float) -> int | None:
    """About how many independent items would pass an unchanged checkpoint with chance 0.8.

    By the normal sum (z_alpha + z_power)^2 psi / margin^2: good enough for a sentence, and None
    where there are as many already, so that more of them is not the answer.
    """
    if margin == 0 or not pairs.n:
        return None
    effort = float(ndtri(1 - alpha) + ndtri(POWER)) ** 2
    needed = ceil(effort * flip_share(pairs) / margin**2)
    return needed if needed > len(pairs.clusters) else None


def flip_share(pairs: Pairs) -> float:
    """Share of pairs whose badness moved, in whole points and at least one, for power sums."""
    return max(1, ceil(100 * sum(pairs.flips()) / pairs.n)) / 100


def _least_bad(levels: Ranges) -> int:
    return round(float(levels.low.sum() + levels.unplaced * levels.floor))


def _most_bad(levels: Ranges) -> int:
    return round(float(levels.high.sum() + levels.unplaced * levels.ceiling))


def rounded(number: float) -> float:
    """The number as far as it is the same on every machine."""
    return float(f"{number:.{DIGITS}g}")


@lru_cache(maxsize=4096)
def _detectable_effect(size: int, share: float, alpha: float, method: Method) -> float:
    return rounded(mde(size, share, alpha, method=method))


def _rounded(p_pass: float, p_fail: float, low: float, high: float) -> TestedRule:
    return TestedRule(rounded(p_pass), rounded(p_fail), (rounded(low), rounded(high)))
