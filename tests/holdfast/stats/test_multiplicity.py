"""Holm, against its published numbers and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from holdfast.stats.multiplicity import holm


def test_published_fixture_in_any_order() -> None:
    wanted = {0.001: 0.005, 0.012: 0.048, 0.021: 0.063, 0.04: 0.08, 0.30: 0.30}
    for order in ([0.001, 0.012, 0.021, 0.04, 0.30], [0.30, 0.021, 0.001, 0.04, 0.012]):
        assert holm(order) == pytest.approx([wanted[p] for p in order])


def test_rules_without_a_p_do_not_enlarge_the_family() -> None:
    assert holm([0.03, None, 0.01, None]) == [pytest.approx(0.03), None, pytest.approx(0.02), None]
    assert holm([None]) == [None]
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_statsmodels(seed: int) -> None:
    ps = np.random.default_rng(seed).random(12).round(1 + seed).tolist()
    assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_never_below_the_p_and_never_out_of_order(ps: list[float]) -> None:
    adjusted = [p or 0.0 for p in holm(ps)]
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    by_p = [q for _, q in sorted(zip(ps, adjusted, strict=True))]
    assert by_p == sorted(by_p)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_not_a_p_value_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="p values"):
        holm([0.5, p])
