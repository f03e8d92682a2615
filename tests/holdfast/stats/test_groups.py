"""The gap rule: what the union bound says, false alarms, dependence of group and rest."""

import numpy as np
import pytest

from holdfast.stats.betting import betting_bound
from holdfast.stats.groups import gap_p
from holdfast.stats.ranges import Ranges
from holdfast.stats.sides import FloatArray, Side


def clusters(
    rng: np.random.Generator, n: int, worse: float = 0.05, better: float = 0.05
) -> FloatArray:
    u = rng.random((n, 2))
    d = (u < worse).astype(np.float64) - (u > 1 - better)
    return np.asarray((d.mean(axis=1) + 1) / 2)


def forgetting(x: FloatArray, alpha: float) -> tuple[float, float]:
    """Betting bounds of F, each at alpha / 2."""
    low, high = (betting_bound(x, alpha / 2, side=side) for side in ("lower", "upper"))
    return 2 * low - 1, 2 * high - 1


@pytest.mark.parametrize("seed", range(8))
def test_p_is_the_smallest_level_at_which_the_bounds_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, rest = clusters(rng, 100), clusters(rng, 300)
    p = gap_p(group, rest, 0.15, side="pass")
    assert forgetting(group, p * 1.02)[1] < 0.15 + forgetting(rest, p * 1.02)[0]
    assert forgetting(group, p * 0.98)[1] >= 0.15 + forgetting(rest, p * 0.98)[0]


@pytest.mark.parametrize("seed", range(4))
def test_fail_mirrors_pass(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, rest = clusters(rng, 150, worse=0.5, better=0.0), clusters(rng, 300)
    p = gap_p(group, rest, 0.10, side="fail")
    assert p < 0.05
    assert forgetting(group, p * 1.02)[0] > 0.10 + forgetting(rest, p * 1.02)[1]
    assert gap_p(group, rest, 0.10, side="pass") == 1.0


@pytest.mark.parametrize(("side", "worse"), [("pass", 0.20), ("fail", 0.20)])
def test_false_alarms_at_the_boundary_even_where_both_share_scenarios(
    side: Side, worse: float
) -> None:
    """F_group - F_rest is 0.15 in truth, and the group's clusters are also the rest's."""
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(400):
        u = rng.random(200)
        group = np.where(u < worse, 1.0, np.where(u > 0.95, 0.0, 0.5))
        rest = np.where(u < 0.05, 1.0, np.where(u > 0.95, 0.0, 0.5))
        alarms += gap_p(group, rest, 0.15, side=side) <= 0.05
    assert alarms <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


@pytest.mark.parametrize("side", ["pass", "fail"])
def test_an_empty_group_or_rest_shows_nothing(side: Side) -> None:
    none, some = np.array([], dtype=float), np.full(200, 0.5)
    assert gap_p(none, some, 0.2, side=side) == 1.0
    assert gap_p(some, none, 0.2, side=side) == 1.0


def test_a_gap_of_everything_is_not_shown_to_be_exceeded() -> None:
    rng = np.random.default_rng(1)
    assert gap_p(clusters(rng, 50), clusters(rng, 50), 1.0, side="fail") == 1.0
    assert gap_p(clusters(rng, 50), clusters(rng, 50), 1.0, side="pass") < 0.01


def test_an_impossible_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="gap"):
        gap_p(np.array([0.5]), np.array([0.5]), 2.5, side="pass")


@pytest.mark.parametrize("gap", [-2.0, 2.0])
def test_the_widest_gaps_are_asked_and_show_nothing_that_must_be(gap: float) -> None:
    rng = np.random.default_rng(2)
    group, rest = clusters(rng, 60), clusters(rng, 60)
    sides: tuple[Side, Side] = ("pass", "fail") if gap < 0 else ("fail", "pass")
    impossible, certain = (gap_p(group, rest, gap, side=side) for side in sides)
    assert impossible == 1.0
    assert certain < 1e-6


def test_a_group_that_gets_worse_moves_its_own_gap_and_the_others_the_other_way() -> None:
    rest, worse = np.full(200, 0.5), np.repeat([0.5, 1.0], [120, 80])
    assert gap_p(worse, rest, 0.1, side="fail") < 0.01 < gap_p(rest, worse, 0.1, side="fail")
    assert gap_p(rest, worse, 0.1, side="pass") < 0.01 < gap_p(worse, rest, 0.1, side="pass")


@pytest.mark.parametrize("side", ["pass", "fail"])
@pytest.mark.parametrize("steps", [0, 4])
def test_losing_clusters_of_the_group_or_of_the_rest_never_lowers_p(side: Side, steps: int) -> None:
    rng = np.random.default_rng(4)
    gap = 0.25 if side == "pass" else -0.2
    for _ in range(10):
        group, rest = clusters(rng, 60), clusters(rng, 90)
        p, ranged = gap_p(group, rest, gap, side=side), []
        for x in (group, rest):
            lost = np.isin(np.arange(x.size), rng.choice(x.size, 2))
            ends = np.where(lost, 0.0, x), np.where(lost, 1.0, x)
            ranged.append(Ranges(*ends, np.full(x.size, steps)))
        assert gap_p(ranged[0], rest, gap, side=side) >= p
        assert gap_p(group, ranged[1], gap, side=side) >= p
        assert gap_p(*ranged, gap, side=side) >= p
