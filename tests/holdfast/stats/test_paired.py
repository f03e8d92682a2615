"""The exact paired test: its size by enumeration of every table, its p by a brute-force maximum."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial, norm
from statsmodels.stats.contingency_tables import mcnemar

from holdfast.stats.paired import (
    FLOOR,
    SLACK,
    exact_p,
    largest_probability,
    refuted,
    tables_up_to,
    tango_z,
)
from holdfast.stats.sides import FloatArray, Side


def tables(n: int) -> list[tuple[int, int]]:
    return [(worse, better) for worse in range(n + 1) for better in range(n + 1 - worse)]


def chances(n: int, p12: float, p21: float) -> FloatArray:
    """Probability of every table, by SciPy's multinomial: nothing of ours in it."""
    cells = np.array([(worse, better, n - worse - better) for worse, better in tables(n)])
    return np.asarray(multinomial.pmf(cells, n, [p12, p21, max(0.0, 1 - p12 - p21)]))


def boundary(margin: float, points: int = 300) -> Iterator[tuple[float, float]]:
    """(p12, p21) with p12 - p21 = margin, dense where p21 is small."""
    for angle in np.linspace(0, np.pi / 2, points):
        flips = abs(margin) + (1 - abs(margin)) * np.sin(angle) ** 2
        yield (flips + margin) / 2, (flips - margin) / 2


@pytest.mark.parametrize(
    ("worse", "better", "n", "margin", "p"),
    [(3, 1, 200, 0.05, 0.0070), (1, 0, 110, 0.04, 0.0490)],
)
def test_tango_asymptotic_p_of_published_examples(
    worse: int, better: int, n: int, margin: float, p: float
) -> None:
    assert norm.cdf(tango_z(worse, better, n, margin)) == pytest.approx(p, abs=5e-5)


@pytest.mark.parametrize("end", [0.00596, 0.14589])
def test_tango_z_is_196_at_the_ends_of_the_published_interval(end: float) -> None:
    assert abs(tango_z(9, 2, 100, end)) == pytest.approx(1.95996, abs=2e-3)


def test_tango_z_at_margin_0_is_mcnemars() -> None:
    chi2 = mcnemar([[50, 9], [2, 39]], exact=False, correction=False).statistic
    assert tango_z(9, 2, 100, 0.0) ** 2 == pytest.approx(chi2)


def test_few_flips_do_not_fool_the_exact_p() -> None:
    assert exact_p(1, 0, 110, 0.04, side="pass") == pytest.approx(0.063, abs=5e-4)


@pytest.mark.parametrize("margin", [-0.3, 0.0, 0.04, 0.1, 0.35, 1.0])
@pytest.mark.parametrize("n", [7, 20])
def test_p_is_the_largest_boundary_probability_never_less(n: int, margin: float) -> None:
    z = np.array([tango_z(worse, better, n, margin) for worse, better in tables(n)])
    probabilities = np.array([chances(n, *rates) for rates in boundary(margin)])
    for i, (worse, better) in enumerate(tables(n)):
        if (worse + 2 * better) % 3:
            continue
        brute = probabilities[:, z <= z[i] + 1e-7].sum(axis=1).max()
        p = exact_p(worse, better, n, margin, side="pass")
        assert brute - 1e-12 <= p <= (brute + 1e-3) * (1 + SLACK) + FLOOR


@pytest.mark.parametrize("margin", [0.0, 0.04, 0.1, 0.15, 0.5])
@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("side", ["pass", "fail"])
def test_size_by_enumeration_over_the_whole_null(n: int, margin: float, side: Side) -> None:
    p = np.array([exact_p(worse, better, n, margin, side=side) for worse, better in tables(n)])
    beyond = (0.0, 0.03, 0.2) if side == "pass" else (0.0, -0.03, -0.2)
    for true in (margin + step for step in beyond):
        for rates in boundary(true, 120):
            seen = chances(n, *rates)
            for alpha in (0.01, 0.05, 0.2):
                assert seen[p <= alpha].sum() <= alpha + 1e-9, (true, rates, alpha)


@pytest.mark.parametrize("margin", [-1.0, -0.2, 0.0, 0.03, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("n", [1, 23, 80])
def test_order_suits_the_bound_of_the_search(n: int, margin: float) -> None:
    """One worse flip less and one better flip more never lowers the evidence for a pass."""
    z = {table: tango_z(*table, n, margin) for table in tables(n)}
    for (worse, better), score in z.items():
        assert worse == 0 or z[worse - 1, better] <= score + 1e-9
        assert worse + better == n or z[worse, better + 1] <= score + 1e-9


@pytest.mark.parametrize("margin", [-0.1, 0.0, 0.05, 0.4])
def test_at_most_is_the_set_of_tables_it_says(margin: float) -> None:
    n = 40
    for z in (-3.0, -1.7, 0.0, 0.4):
        most = tables_up_to(z, n, margin)
        wanted = [t for t in tables(n) if tango_z(*t, n, margin) <= z]
        assert wanted == [(w, b) for w, b in tables(n) if w <= most[w + b]]


def test_equal_tables_have_equal_p_whatever_the_rounding() -> None:
    """At margin 0 every table with as many worse as better has Z = 0."""
    ps = {exact_p(k, k, 60, 0.0, side="pass") for k in range(1, 30)}
    assert len(ps) == 1
    for margin in (0.1, 0.3, 1 / 3):
        z = tango_z(3, 1, 40, margin)
        shifted = [
            largest_probability(tables_up_to(z + e, 40, margin), 40, margin) for e in (-1e-13, 0)
        ]
        assert shifted[0] == shifted[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 120), st.data())
def test_fail_is_pass_with_the_roles_exchanged(n: int, data: st.DataObject) -> None:
    worse = data.draw(st.integers(0, n))
    better = data.draw(st.integers(0, n - worse))
    margin = data.draw(st.sampled_from([0.0, 0.05, 0.1, 0.15]))
    p_pass = exact_p(worse, better, n, margin, side="pass")
    p_fail = exact_p(worse, better, n, margin, side="fail")
    assert p_fail == exact_p(better, worse, n, -margin, side="pass")
    assert p_pass + p_fail >= 1  # both count the observed table
    for alpha in (0.01, 0.05):
        assert refuted(worse, better, n, margin, alpha=alpha, side="pass") == (p_pass <= alpha)
        assert refuted(worse, better, n, margin, alpha=alpha, side="fail") == (p_fail <= alpha)


def test_one_more_lost_pair_counted_worse_never_helps_a_pass() -> None:
    ps = [exact_p(worse, 2, 160, 0.1, side="pass") for worse in range(30)]
    assert ps == sorted(ps)


def test_at_margin_0_agrees_with_the_sign_test_in_the_main() -> None:
    """The conditional exact test of the flips is valid too, and more cautious."""
    for worse, better in ((9, 2), (15, 5), (5, 0)):
        conditional = binomtest(worse, worse + better, 0.5, alternative="greater").pvalue
        assert exact_p(worse, better, 100, 0.0, side="fail") < conditional * 1.05


def test_no_pairs_show_nothing() -> None:
    assert exact_p(0, 0, 0, 0.1, side="pass") == 1.0
    assert exact_p(0, 0, 0, 0.1, side="fail") == 1.0
    assert not refuted(0, 0, 0, 0.1, alpha=0.4, side="pass")


def test_two_thousand_pairs_are_worked_out() -> None:
    assert exact_p(250, 100, 2000, 0.05, side="fail") < 0.01
    assert exact_p(100, 100, 2000, 0.05, side="pass") < 1e-5


@pytest.mark.parametrize(
    ("worse", "better", "n", "margin"), [(-1, 0, 5, 0.1), (3, 3, 5, 0.1), (0, 0, 5, 1.1)]
)
def test_impossible_tables_are_refused(worse: int, better: int, n: int, margin: float) -> None:
    with pytest.raises(ValueError, match=r"pairs|margin"):
        exact_p(worse, better, n, margin, side="pass")


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5, 1.0])
def test_one_pair_has_the_p_that_a_line_of_algebra_gives(margin: float) -> None:
    """At p12 - p21 = m no worse flip has a chance of 1 - m at most, a better one of half of it."""
    wanted = {(1, 0): 1.0, (0, 0): 1 - margin, (0, 1): (1 - margin) / 2}
    for (worse, better), p in wanted.items():
        found = exact_p(worse, better, 1, margin, side="pass")
        assert found == pytest.approx(p, rel=2 * SLACK, abs=2 * FLOOR)
        assert found >= p


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.sampled_from([0.0, 0.05, 0.2]), st.data())
def test_one_pair_that_got_worse_moves_both_answers_one_way(
    n: int, margin: float, data: st.DataObject
) -> None:
    worse = data.draw(st.integers(0, n - 1))
    better = data.draw(st.integers(0, n - 1 - worse))
    tight = 1 + 2 * SLACK  # each p may be too large by the slack of its search
    p_pass = exact_p(worse, better, n, margin, side="pass")
    assert p_pass <= exact_p(worse + 1, better, n, margin, side="pass") * tight + 2 * FLOOR
    p_fail = exact_p(worse, better, n, margin, side="fail")
    assert exact_p(worse + 1, better, n, margin, side="fail") <= p_fail * tight + 2 * FLOOR


@pytest.mark.parametrize(("worse", "better"), [(0, -1), (-1, 3), (6, 0), (0, 6)])
def test_counts_that_are_no_table_are_refused_by_every_question(worse: int, better: int) -> None:
    for ask in (tango_z, lambda *table: refuted(*table, alpha=0.05, side="fail")):
        with pytest.raises(ValueError, match="no table"):
            ask(worse, better, 5, 0.1)


def test_a_level_is_met_at_the_p_itself() -> None:
    p = exact_p(3, 1, 80, 0.1, side="pass")
    assert refuted(3, 1, 80, 0.1, alpha=p, side="pass")
    assert not refuted(3, 1, 80, 0.1, alpha=p * 0.99, side="pass")
