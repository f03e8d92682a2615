"""Where a worker looks: the same places however long the suite is, and never beyond it."""

from itertools import pairwise

import pytest

from workers.evaluation.looks import FIRST_LOOK, GROWTH, STEP, schedule


def test_the_first_looks() -> None:
    assert list(schedule(200)) == [40, 60, 80, 100, 120, 140, 161, 186, 200]


@pytest.mark.parametrize("most", [0, 1, 40, 41, 60, 1800])
def test_the_last_look_is_at_everything(most: int) -> None:
    places = list(schedule(most))
    assert places[-1] == most
    assert places == sorted(set(places))
    assert places[:-1] == [place for place in schedule(5000) if place < most]


def test_looks_are_worth_their_while() -> None:
    places = list(schedule(5000))[:-1]
    assert places[0] == FIRST_LOOK
    for before, after in pairwise(places):
        assert after - before >= STEP
        assert after >= GROWTH * before or after - before == STEP
