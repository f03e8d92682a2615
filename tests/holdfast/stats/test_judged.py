"""Caps behind a judge that errs: the published correction, and that the bounds hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.stats.caps import cap_p, rate_bounds
from holdfast.stats.judged import JudgeRates, judged_bounds, judged_p, rogan_gladen
from holdfast.stats.sides import Side

GOOD = JudgeRates((95, 100), (90, 100))


@pytest.mark.parametrize(
    ("apparent", "true"), [(0.30, 0.235), (0.10, 0.0), (0.05, 0.0), (0.95, 1.0), (1.0, 1.0)]
)
def test_rogan_and_gladens_estimate(apparent: float, true: float) -> None:
    assert rogan_gladen(apparent, 0.95, 0.90) == pytest.approx(true, abs=5e-4)


def test_a_judge_no_better_than_chance_gives_no_estimate() -> None:
    with pytest.raises(ValueError, match="add up"):
        rogan_gladen(0.3, 0.5, 0.5)


def bounds(bad: int, n: int, rates: JudgeRates, alpha: float = 0.05) -> tuple[float, float]:
    return judged_bounds(lambda level: rate_bounds(bad, n, level), rates, alpha)


def p_pass(bad: int, n: int, cap: float, rates: JudgeRates) -> float:
    return judged_p(lambda rate: cap_p(bad, n, rate, side="pass"), cap, rates, side="pass")


@given(st.integers(0, 200), st.integers(60, 100), st.integers(60, 100))
def test_the_bounds_are_wider_than_without(bad: int, right: int, other: int) -> None:
    low, high = bounds(bad, 200, JudgeRates((right, 100), (other, 100)))
    assert 0 <= low <= high <= 1
    better = bounds(bad, 200, JudgeRates((right * 100, 10_000), (other * 100, 10_000)))
    assert low <= better[0] + 1e-12
    assert high >= better[1] - 1e-12


@pytest.mark.parametrize("bad", [0, 5, 20, 100, 199])
@pytest.mark.parametrize("rates", [GOOD, JudgeRates((990, 1000), (970, 1000))])
def test_the_tests_turn_where_the_interval_ends(bad: int, rates: JudgeRates) -> None:
    low, high = bounds(bad, 200, rates)
    if 0 < high < 1:
        assert p_pass(bad, 200, high - 1e-4, rates) > 0.05 > p_pass(bad, 200, high + 1e-4, rates)
    if 0 < low < 1:
        fails = [
            judged_p(lambda r: cap_p(bad, 200, r, side="fail"), cap, rates, side="fail")
            for cap in (low + 1e-4, low - 1e-4)
        ]
        assert fails[0] > 0.05 > fails[1]


def test_with_a_perfect_and_well_known_judge_little_is_lost() -> None:
    known = JudgeRates((10**6, 10**6), (10**6, 10**6))
    assert bounds(10, 200, known, 0.05) == pytest.approx(rate_bounds(10, 200, 0.05 / 3), abs=1e-4)


@pytest.mark.parametrize("counts", [(0, 1), (1, 1), (1, 2), (5, 10)])
def test_a_judge_of_whom_little_is_known_shows_nothing(counts: tuple[int, int]) -> None:
    rates = JudgeRates(counts, counts)
    assert bounds(0, 200, rates) == (0.0, 1.0)
    assert p_pass(0, 200, 0.2, rates) > 0.05


def test_the_reading_of_the_counts_does_not_matter() -> None:
    swapped = JudgeRates(GOOD.specificity, GOOD.sensitivity)
    assert bounds(30, 200, GOOD) == bounds(30, 200, swapped)


@pytest.mark.parametrize(("true", "sensitivity", "specificity"), [
    (0.10, 0.90, 0.97), (0.20, 0.80, 0.90), (0.02, 0.95, 0.99), (0.50, 0.90, 0.90),
])  # fmt: skip
def test_coverage_by_simulation(true: float, sensitivity: float, specificity: float) -> None:
    """Each end covers the true rate in at least 95 % of seeded runs of 160 items, 150 labels."""
    rng = np.random.default_rng(7)
    apparent = true * sensitivity + (1 - true) * (1 - specificity)
    runs = [
        bounds(
            int(rng.binomial(160, apparent)), 160,
            JudgeRates(
                (int(rng.binomial(80, sensitivity)), 80), (int(rng.binomial(70, specificity)), 70)
            ),
        )
        for _ in range(2_000)
    ]  # fmt: skip
    assert np.mean([true <= high for _, high in runs]) >= 0.95
    assert np.mean([low <= true for low, _ in runs]) >= 0.95


@pytest.mark.parametrize("side", ["pass", "fail"])
def test_a_level_is_cut_in_three_and_the_worst_corner_of_either_reading_counts(side: Side) -> None:
    """The definition: at level p the apparent rate is shown beyond the corner's, just below not."""
    rates, bad, cap = JudgeRates((95, 100), (900, 1000)), (55 if side == "pass" else 120), 0.45

    def refuted(level: float) -> bool:
        shown = []
        for sensitivity, specificity in (
            (rates.sensitivity, rates.specificity),
            (rates.specificity, rates.sensitivity),
        ):
            se, sp = (rate_bounds(*counts, level / 3) for counts in (sensitivity, specificity))
            at, of = (se[0], sp[1]) if side == "pass" else (se[1], sp[0])
            shown.append(cap_p(bad, 200, cap * at + (1 - cap) * (1 - of), side=side) <= level / 3)
        return all(shown)

    p = judged_p(lambda rate: cap_p(bad, 200, rate, side=side), cap, rates, side=side)
    assert 1e-11 < p < 0.05
    assert refuted(p * 1.001)
    assert not refuted(p * 0.999)


def test_levels_below_a_trillionth_are_not_told_apart() -> None:
    known = JudgeRates((10**6, 10**6), (10**6, 10**6))
    assert p_pass(0, 10_000, 0.5, known) == p_pass(0, 20_000, 0.5, known) == 1e-12
    assert p_pass(200, 200, 0.5, known) == 1.0
