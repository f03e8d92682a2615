"""Forgetting by group: the published fixture, its laws, and the null that a range is read by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from holdfast.stats.forgetting import Forgetting, Units, _permutations, forgetting, order_effect


def units(*groups: tuple[int, int, int, int]) -> Units:
    """Single items: (n, wrong before, broken, fixed) of each group."""
    code, before, change = [], [], []
    for number, (n, wrong, broken, fixed) in enumerate(groups):
        code += [number] * n
        before += [1.0] * wrong + [0.0] * (n - wrong)
        change += [-1.0] * fixed + [0.0] * (n - fixed - broken) + [1.0] * broken
    return Units(np.array(code), np.ones(len(code)), np.array(before), np.array(change))


FIXTURE = units((200, 20, 10, 0), (100, 12, 28, 0), (300, 24, 6, 0))


def test_the_fixture() -> None:
    found = forgetting(FIXTURE, draws=500)
    assert [g.n for g in found.groups] == [200, 100, 300]
    assert [g.forgetting for g in found.groups] == pytest.approx([0.05, 0.28, 0.02])
    assert [g.relative for g in found.groups] == pytest.approx(
        [0.05556, 0.31818, 0.02174], abs=5e-6
    )
    apart = [g.forgetting - found.overall for g in found.groups]
    assert apart == pytest.approx([-0.02333, 0.20667, -0.05333], abs=5e-6)
    assert found.overall == pytest.approx(0.073333, abs=1e-6)
    assert found.macro == pytest.approx(0.35 / 3)
    assert (found.range, found.gap) == pytest.approx((0.26, 0.206667), abs=1e-6)
    assert [g.biased for g in found.groups][1] == pytest.approx(0.28 - 16 / 500)
    expected = np.sqrt(np.average(np.square(apart), weights=[200, 100, 300]))
    assert found.sd == pytest.approx(expected)
    assert found.p_range == found.groups[1].p == 1 / 501  # none of the shuffles comes near
    assert found.groups[1].p_adjusted == pytest.approx(3 / 501)
    assert found.groups[2].p == 1.0


def test_relative_forgetting_is_corrected_for_chance_and_silent_without_room_above_it() -> None:
    found = forgetting(units((90, 30, 9, 0), (90, 60, 9, 0)), chance=1 / 3, draws=10)
    assert found.groups[0].relative == pytest.approx(0.1 / (2 / 3 - 1 / 3))
    assert found.groups[1].relative is None


def test_the_same_models_forget_nothing() -> None:
    found = forgetting(units((50, 5, 0, 0), (70, 0, 0, 0)), draws=50)
    assert (found.overall, found.range, found.gap, found.sd, found.range_95) == (0, 0, 0, 0, 0)
    assert {g.shrunken for g in found.groups} == {0.0}
    assert found.p_range == 1.0
    assert {g.p_adjusted for g in found.groups} == {1.0}


def test_twice_the_data_leaves_f_and_divides_its_error_by_the_root_of_two() -> None:
    twice = Units(*(np.tile(getattr(FIXTURE, name), 2) for name in Units.__slots__))
    once, doubled = forgetting(FIXTURE, draws=10), forgetting(twice, draws=10)
    for a, b in zip(once.groups, doubled.groups, strict=True):
        assert b.forgetting == pytest.approx(a.forgetting)
        assert b.se == pytest.approx(a.se / np.sqrt(2))
    n, worse = 100, 28
    assert once.groups[1].se == pytest.approx(np.sqrt((worse - worse**2 / n) / n**2))


def test_equal_forgetting_makes_a_range_of_a_tenth_and_its_null_says_so() -> None:
    """9 groups of 100, 8 % broken and 3 % fixed in truth: range .098 on average, 95 % below .14."""
    rng = np.random.default_rng(4)
    runs: list[Forgetting] = []
    for _ in range(60):
        u = rng.random(900)
        change = (u < 0.08).astype(float) - (u > 0.97)
        group = np.repeat(np.arange(9), 100)
        runs.append(forgetting(Units(group, np.ones(900), np.zeros(900), change), draws=200))
    assert np.mean([run.range for run in runs]) == pytest.approx(0.098, abs=0.008)
    assert np.mean([run.range_95 for run in runs]) == pytest.approx(0.14, abs=0.01)
    assert np.mean([run.p_range <= 0.05 for run in runs]) <= 0.15
    shrunken = np.mean([np.ptp([g.shrunken for g in run.groups]) for run in runs])
    assert shrunken < 0.04  # what is chance is shrunk away


def test_p_values_are_uniform_where_labels_say_nothing() -> None:
    rng = np.random.default_rng(5)
    ps = []
    for _ in range(120):
        change = rng.uniform(-1, 1, 60)  # without ties, so that p can be uniform
        group = rng.permuted(np.repeat(np.arange(3), 20))
        sorted_by_group = np.argsort(group, kind="stable")
        found = Units(group[sorted_by_group], np.ones(60), np.zeros(60), change[sorted_by_group])
        ps.append(forgetting(found, draws=199).p_range)
    assert kstest(ps, "uniform").pvalue > 0.01


def test_what_is_real_is_hardly_shrunk() -> None:
    found = forgetting(units((400, 40, 8, 0), (400, 40, 200, 0), (400, 40, 8, 0)), draws=10)
    assert found.groups[1].shrunken == pytest.approx(0.5, abs=0.02)
    assert found.groups[1].shrunken < found.groups[1].forgetting


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 9), st.data()), min_size=2, max_size=4), st.integers(0, 9))
def test_laws(shape: list[tuple[int, st.DataObject]], seed: int) -> None:
    rows = []
    for n, data in shape:
        broken = data.draw(st.integers(0, n))
        rows.append((n, n - broken, broken, data.draw(st.integers(0, n - broken))))
    found = forgetting(units(*rows), draws=20, seed=seed)
    assert found == forgetting(units(*rows), draws=20, seed=seed)
    fs = [g.forgetting for g in found.groups]
    assert min(fs) - 1e-12 <= found.overall <= max(fs) + 1e-12
    assert found.range == pytest.approx(max(fs) - min(fs))
    for g in found.groups:
        assert 0 < g.p <= g.p_adjusted <= 1
        low, high = sorted((g.forgetting, found.overall))
        assert low - 1e-12 <= g.shrunken <= high + 1e-12
    n = np.array([g.n for g in found.groups])
    rest = (n.sum() * found.overall - n * fs) / (n.sum() - n)
    assert [g.biased for g in found.groups] == pytest.approx(np.array(fs) - rest)


def test_shuffles_are_permutations_all_equally_likely_and_never_change() -> None:
    bits = np.random.PCG64(0)
    order = _permutations(3, 6000, bits)
    kinds, counts = np.unique(order, axis=1, return_counts=True)
    assert kinds.shape[1] == 6
    assert np.abs(counts - 1000).max() < 120
    assert _permutations(4, 2, np.random.PCG64(0)).T.tolist() == [[3, 1, 0, 2], [2, 3, 0, 1]]


@pytest.mark.parametrize("group", [[0, 0, 0], [0, 2, 2]])
def test_one_group_or_an_empty_one_is_refused(group: list[int]) -> None:
    three = np.ones(3)
    with pytest.raises(ValueError, match="at least 2"):
        forgetting(Units(np.array(group), three, three, three))


def test_order_effect() -> None:
    """Safety .1 -> .4 when taught first, capability .3 -> .35 when it is."""
    assert order_effect((0.1, 0.4), (0.3, 0.35)) == pytest.approx(0.25)


def test_where_every_group_is_one_unit_all_of_the_distance_may_be_chance() -> None:
    found = forgetting(units((1, 0, 1, 0), (1, 0, 0, 0)), draws=10)
    assert {g.shrunken for g in found.groups} == {found.overall} == {0.5}


def test_without_spread_inside_the_groups_nothing_is_shrunk() -> None:
    found = forgetting(units((2, 0, 2, 0), (1, 0, 0, 0)), draws=10)
    assert [g.shrunken for g in found.groups] == [g.forgetting for g in found.groups] == [1.0, 0.0]


def test_units_of_several_items_weigh_by_their_items() -> None:
    group, items = np.array([0, 0, 1]), np.array([3.0, 1.0, 2.0])
    found = forgetting(Units(group, items, np.zeros(3), np.array([3.0, 0.0, 1.0])), draws=10)
    assert [(g.n, g.forgetting) for g in found.groups] == [(4, 0.75), (2, 0.5)]
    assert (found.overall, found.macro) == (pytest.approx(4 / 6), 0.625)
    first = [3 - 0.75 * 3, 0 - 0.75 * 1]
    assert found.groups[0].se == pytest.approx(np.sqrt(np.sum(np.square(first))) / 4)
