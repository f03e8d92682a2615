"""What a lost pair may be, by what stands on its other side and by which answer is asked for."""

import pytest

from holdfast.verdict.checks.lost import (
    ANY,
    ANY_OF_REST,
    NO_BETTER,
    NO_WORSE,
    change_span,
    level_span,
)

Sides = tuple[float | None, float | None]
# d for a pass, for a fail, and of the rest of a gap for either; then badness after for either
SPANS: dict[Sides, list[tuple[float, float]]] = {
    (0.0, None): [(0, 1), (0, 1), (-1, 1), (0, 0), (0, 1), (0, 1)],
    (1.0, None): [(-1, 1), (0, 0), (-1, 0), (-1, 0), (0, 1), (0, 1)],
    (None, 0.0): [(-1, 1), (0, 0), (-1, 0), (-1, 0), (0, 1), (0, 0)],
    (None, 1.0): [(0, 1), (0, 1), (-1, 1), (0, 0), (1, 1), (0, 1)],
    (None, None): [(-1, 1), (0, 1), (-1, 1), (-1, 0), (0, 1), (0, 1)],
    (0.25, None): [(-0.25, 1), (0, 0.75), (-1, 0.75), (-0.25, 0), (0, 1), (0, 1)],
    (0.25, 0.5): [(0.25, 0.25)] * 4 + [(0.5, 0.5)] * 2,
}


@pytest.mark.parametrize("sides", SPANS)
def test_a_lost_pair_is_from_what_it_is_taken_for_to_all_that_the_other_side_allows(
    sides: Sides,
) -> None:
    changes = [change_span(*sides, lost) for lost in (ANY, NO_BETTER, ANY_OF_REST, NO_WORSE)]
    assert [*changes, *(level_span(*sides, lost) for lost in (ANY, NO_BETTER))] == SPANS[sides]
