"""The bets that were tried: the published one is the product's, and all of them are fair play."""

import numpy as np
import pytest

from benchmarks.bets import BETS, crossings, log_path, planned
from benchmarks.sequential import Case
from holdfast.stats.betting import log_capital

UNCHANGED = Case("nothing moves much", "pass", margin=0.10, change=0.0, psi=0.06)
AT_MARGIN = (
    Case("at the margin", "pass", margin=0.05, change=0.05, psi=0.06),
    Case("at the margin", "fail", margin=0.05, change=0.05, psi=0.20),
)


def test_the_published_bet_is_the_one_that_decides() -> None:
    x = np.random.default_rng(4).choice([0.0, 0.5, 1.0], size=(50, 120), p=[0.1, 0.7, 0.2])
    (kelly,) = BETS["published: Kelly, cut at 1/2"]
    assert log_path(kelly, x, 0.525) == pytest.approx(log_capital(x, 0.525, side="fail"))


@pytest.mark.parametrize("name", BETS)
@pytest.mark.parametrize("case", AT_MARGIN, ids=["pass", "fail"])
def test_no_bet_alarms_more_often_than_it_may(name: str, case: Case) -> None:
    first = crossings(case, BETS[name], 120, 2000)
    assert (first <= 120).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("name", BETS)
def test_every_bet_shows_what_is_plain(name: str) -> None:
    assert (crossings(UNCHANGED, BETS[name], 300, 400) <= 300).mean() > 0.95


def test_narrow_margins_are_planned_by_the_normal_sum() -> None:
    narrow = Case("no effect, 20 % flip, narrow", "pass", margin=0.02, change=0.0, psi=0.20)
    assert planned(narrow) == 4282
