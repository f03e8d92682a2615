"""Ranges of lost numbers: what the boxes hold, how many there are, and that more lost is wider."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.stats.ranges import BOXES, CELL, Ranges, boxes
from holdfast.stats.sides import FloatArray

SPAN = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: (min(ends), max(ends)))
SPANS = st.lists(st.tuples(SPAN, st.integers(0, 3)), min_size=1, max_size=9)


def ranges(spans: list[tuple[tuple[float, float], int]]) -> Ranges:
    low, high = (np.array([span[end] for span, _ in spans]) for end in (0, 1))
    return Ranges(low, high, np.array([steps for _, steps in spans]))


def values(span: tuple[float, float], steps: int, share: float) -> float:
    """A value of a lost number: one of its steps, or that share of the way."""
    part = round(share * steps) / steps if steps else share
    return span[0] + part * (span[1] - span[0])


def holds(low: FloatArray, high: FloatArray, x: FloatArray) -> bool:
    return bool(((low <= x + 1e-12) & (x <= high + 1e-12)).all(axis=1).any())


@settings(max_examples=60, deadline=None)
@given(SPANS, st.lists(st.floats(0, 1), min_size=9, max_size=9))
def test_every_value_lies_in_some_box_and_the_boxes_are_few(
    spans: list[tuple[tuple[float, float], int]], shares: list[float]
) -> None:
    low, high = boxes(ranges(spans))
    x = np.array([values(*span, share) for span, share in zip(spans, shares, strict=False)])
    assert holds(low, high, x)
    assert len(low) <= BOXES
    assert ((low >= ranges(spans).low) & (high <= ranges(spans).high)).all()


@settings(max_examples=60, deadline=None)
@given(SPANS, st.integers(0, 8), st.floats(0, 1))
def test_where_a_number_less_is_lost_every_box_lies_inside_of_one(
    spans: list[tuple[tuple[float, float], int]], at: int, share: float
) -> None:
    wide, at = ranges(spans), at % len(spans)
    value = values(*spans[at], share)
    narrow = ranges([*spans[:at], ((value, value), 0), *spans[at + 1 :]])
    inner, outer = boxes(narrow), boxes(wide)
    for low, high in zip(*inner, strict=True):
        inside = (outer[0] <= low + 1e-12) & (high <= outer[1] + 1e-12)
        assert inside.all(axis=1).any()


def test_steps_are_gone_through_one_by_one_and_anything_by_cells() -> None:
    low, high = boxes(ranges([((0.5, 0.5), 0), ((0.5, 1.0), 1), ((0.0, 1.0), 2)]))
    assert np.array_equal(low, high)
    assert [tuple(row) for row in low] == [(0.5, *rest) for rest in product((0.5, 1), (0, 0.5, 1))]
    low, high = boxes(ranges([((0.1, 0.4), 0)]))
    assert low[:, 0].tolist() == [0.1, CELL, 2 * CELL, 3 * CELL]
    assert high[:, 0].tolist() == [CELL, 2 * CELL, 3 * CELL, 0.4]


def test_what_would_be_too_many_boxes_stays_a_whole_range() -> None:
    low, high = boxes(ranges([((0.0, 1.0), 1)] * 8))
    assert len(low) == BOXES == 2**6
    assert (low[:, :6] == high[:, :6]).all()
    assert (low[:, 6:] == 0.0).all()
    assert (high[:, 6:] == 1.0).all()


def test_the_first_that_would_be_too_many_ends_the_cutting_for_all_behind_it() -> None:
    """Else losing one with many values before one with few would cut the latter no longer."""
    low, high = boxes(ranges([((0.0, 1.0), 4), ((0.0, 1.0), 4), ((0.0, 1.0), 4), ((0.0, 1.0), 1)]))
    assert len(low) == 25
    assert (low[:, 2:] == 0.0).all()
    assert (high[:, 2:] == 1.0).all()


@pytest.mark.parametrize(
    ("unplaced", "high", "certain"), [(0, 0.5, True), (1, 0.5, False), (0, 0.6, False)]
)
def test_only_what_is_lost_is_uncertain(unplaced: int, high: float, *, certain: bool) -> None:
    x = Ranges(np.array([0.5]), np.array([high]), np.array([0]), unplaced, 0.5, 1.0)
    assert x.certain is certain
    mirrored = x.mirrored
    assert (mirrored.low[0], mirrored.high[0]) == (1.0 - high, 0.5)
    assert (mirrored.unplaced, mirrored.floor, mirrored.ceiling) == (unplaced, 0.0, 0.5)
