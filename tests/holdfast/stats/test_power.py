"""Planning numbers: the published power table, and agreement with the tests that decide."""

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from holdfast.stats.caps import cap_p
from holdfast.stats.judged import JudgeRates, judged_p
from holdfast.stats.paired import refuted
from holdfast.stats.power import (
    Method,
    chance_gap_passes,
    chance_to_pass,
    chance_under_cap,
    mde,
    n_to_decide,
)

FLIPS = (0.06, 0.10, 0.20)
TABLE = [  # method, margin, n, chance to pass at each share of flips
    ("exact", 0.05, 160, (0.74, 0.60, 0.39)),
    ("exact", 0.05, 240, (0.90, 0.75, 0.51)),
    ("exact", 0.05, 480, (0.99, 0.95, 0.78)),
    ("exact", 0.10, 100, (0.96, 0.89, 0.69)),
    ("exact", 0.10, 160, (1.00, 0.98, 0.86)),
    ("exact", 0.10, 240, (1.00, 1.00, 0.96)),
    ("exact", 0.10, 280, (1.00, 1.00, 0.98)),
    ("exact", 0.15, 100, (1.00, 0.99, 0.94)),
    ("betting", 0.10, 150, (1.00, 0.97, 0.79)),
    ("betting", 0.10, 100, (0.92, 0.82, 0.57)),
    ("betting", 0.15, 100, (1.00, 1.00, 0.92)),
]


@pytest.mark.parametrize(("method", "margin", "n", "chances"), TABLE)
def test_the_policy_guides_power_table(
    method: Method, margin: float, n: int, chances: tuple[float, ...]
) -> None:
    found = [chance_to_pass(n, psi, margin, 0.05, method=method) for psi in FLIPS]
    assert found == pytest.approx(chances, abs=0.02)


@pytest.mark.parametrize(("margin", "psi"), [(0.1, 0.1), (0.3, 0.2), (0.05, 0.6)])
def test_exact_chance_is_the_sum_over_the_tables_that_pass(margin: float, psi: float) -> None:
    n = 40
    passing = [
        (worse, better, n - worse - better)
        for worse in range(n + 1)
        for better in range(n + 1 - worse)
        if refuted(worse, better, n, margin, alpha=0.05, side="pass")
    ]
    total = float(np.sum(multinomial.pmf(passing, n, [psi / 2, psi / 2, 1 - psi])))
    assert chance_to_pass(n, psi, margin, 0.05, method="exact") == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("method", ["exact", "betting"])
@pytest.mark.parametrize("n", [0, 1])
def test_too_few_items_cannot_pass(n: int, method: Method) -> None:
    assert chance_to_pass(n, 0.1, 0.05, 0.05, method=method) == 0.0
    assert mde(n, 0.1, 0.05, method=method) == 1.0


def test_mde_is_what_the_exact_fail_test_sees_four_times_in_five() -> None:
    n, psi = 60, 0.1
    smallest = mde(n, psi, 0.05, method="exact")
    tables = [(w, b, n - w - b) for w in range(n + 1) for b in range(min(w, n - w) + 1)]
    shown = [t for t in tables if refuted(t[0], t[1], n, 0.0, alpha=0.05, side="fail")]

    def power(change: float) -> float:
        flips = max(psi, change)
        rates = [(flips + change) / 2, (flips - change) / 2, 1 - flips]
        return float(np.sum(multinomial.pmf(shown, n, rates)))

    assert power(smallest + 1e-4) >= 0.8 > power(smallest - 0.002)


@pytest.mark.parametrize("method", ["exact", "betting"])
def test_mde_shrinks_with_items_and_grows_with_noise(method: Method) -> None:
    by_n = [mde(n, 0.1, 0.05, method=method) for n in (30, 120, 240, 480)]
    assert by_n == sorted(by_n, reverse=True)
    by_noise = [mde(150, psi, 0.05, method=method) for psi in (0.02, 0.1, 0.3)]
    assert by_noise == sorted(by_noise)


@pytest.mark.parametrize(
    ("psi", "margin", "method"),
    [(0.06, 0.10, "exact"), (0.10, 0.10, "exact"), (0.10, 0.05, "exact"), (0.10, 0.10, "betting")],
)
def test_n_to_decide_is_enough_and_hardly_more(psi: float, margin: float, method: Method) -> None:
    n = n_to_decide(psi, margin, 0.05, method=method)
    assert n is not None
    assert chance_to_pass(n, psi, margin, 0.05, method=method) >= 0.8
    assert chance_to_pass(int(n / 1.05), psi, margin, 0.05, method=method) < 0.8


def test_no_n_decides_at_margin_0_and_large_ones_are_the_normal_approximations() -> None:
    assert n_to_decide(0.1, 0.0, 0.05, method="exact") is None
    assert n_to_decide(0.2, 0.01, 0.05, method="exact") == pytest.approx(12365, rel=0.02)


def test_a_gap_needs_items_in_the_group() -> None:
    chances = [chance_gap_passes(n, 300, 0.10, 0.15, 0.05) for n in (30, 200)]
    assert chances == sorted(chances)
    assert chances[0] < 0.1
    assert chances[1] > 0.9


@pytest.mark.parametrize(("rate", "cap"), [(0.0, 0.1), (0.05, 0.15), (0.2, 0.2), (0.3, 0.1)])
@pytest.mark.parametrize("judge", [None, JudgeRates((990, 1000), (980, 1000))])
def test_the_chance_under_a_cap_is_the_sum_over_the_counts_that_show_it(
    rate: float, cap: float, judge: JudgeRates | None
) -> None:
    n = 120

    def p_of(bad: int) -> float:
        def apparent(at: float) -> float:
            return cap_p(bad, n, at, side="pass")

        return apparent(cap) if judge is None else judged_p(apparent, cap, judge, side="pass")

    total = sum(binom.pmf(bad, n, rate) for bad in range(n + 1) if p_of(bad) <= 0.05)
    found = chance_under_cap(n, rate, cap, 0.05, judge)
    assert found == pytest.approx(total, abs=1e-9)


def test_a_cap_that_nothing_could_show_has_no_chance() -> None:
    assert chance_under_cap(0, 0.0, 0.1, 0.05) == 0.0
    assert chance_under_cap(20, 0.0, 0.1, 0.05) == 0.0  # .9^20 is .12
    assert chance_under_cap(40, 0.0, 0.1, 0.05) == 1.0  # .9^40 is .015
    coin = JudgeRates((1, 2), (1, 2))
    assert chance_under_cap(400, 0.0, 0.1, 0.05, coin) == 0.0


def test_beyond_its_table_what_can_be_seen_falls_with_the_root_of_the_items() -> None:
    at = mde(480, 0.1, 0.05, method="exact")
    assert mde(1920, 0.1, 0.05, method="exact") == pytest.approx(at / 2)
    assert mde(481, 0.1, 0.05, method="exact") < at


def test_a_run_that_may_stop_early_sees_less_at_the_same_size() -> None:
    fixed = chance_to_pass(120, 0.1, 0.1, 0.05, method="exact")
    stopping = chance_to_pass(120, 0.1, 0.1, 0.05, method="sequential")
    assert 0.5 < stopping < fixed < 1.0
    assert chance_to_pass(0, 0.1, 0.1, 0.05, method="sequential") == 0.0
