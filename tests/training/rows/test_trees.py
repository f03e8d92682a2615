"""Trees of rows: every row is a path, sees exactly itself, and shares all that it can."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from training.rows.batches import Example
from training.rows.trees import Trees, plant

PAD = 99


@st.composite
def groups(draw: st.DrawFn) -> list[list[Example]]:
    """Rows over an alphabet of two, so that they begin alike as often as not."""
    row = st.lists(st.integers(0, 1), min_size=2, max_size=7)
    rows = draw(st.lists(st.lists(row, min_size=1, max_size=4), min_size=1, max_size=3))
    return [
        [Example(tuple(ids), draw(st.integers(1, len(ids)))) for ids in group] for group in rows
    ]


def seen_from(trees: Trees, row: int, column: int) -> list[int]:
    """The tokens that a place sees, in order."""
    return trees.ids[row][trees.sees[row, 0, column]].tolist()


@given(groups())
def test_every_completion_token_is_predicted_from_its_own_row(found: list[list[Example]]) -> None:
    trees = plant(found, PAD)
    n = 0
    for row, group in enumerate(found):
        for example in group:
            for place in range(example.prompt_tokens, len(example.ids)):
                column = int(trees.columns[n])
                assert int(trees.rows[n]) == row
                assert int(trees.targets[n]) == example.ids[place]
                assert seen_from(trees, row, column) == list(example.ids[:place])
                assert int(trees.positions[row, column]) == place - 1
                n += 1
    assert n == len(trees.rows) == len(trees.columns) == len(trees.targets)


@given(groups())
def test_no_beginning_stands_twice_and_padding_sees_itself_alone(
    found: list[list[Example]],
) -> None:
    trees = plant(found, PAD)
    for row, group in enumerate(found):
        distinct = {one.ids[:k] for one in group for k in range(1, len(one.ids) + 1)}
        real = trees.ids[row] != PAD
        assert int(real.sum()) == len(distinct)
        assert real[: len(distinct)].all()
        padding = trees.sees[row, 0][~real]
        assert torch.equal(padding.nonzero()[:, 1], (~real).nonzero()[:, 0])
        assert not trees.sees[row, 0][real][:, ~real].any()


def test_a_pair_is_its_prompt_and_both_answers() -> None:
    pair = [Example((5, 6, 7, 8), 2), Example((5, 6, 9), 2)]
    trees = plant([pair], PAD)
    assert trees.ids.tolist() == [[5, 6, 7, 8, 9]]
    assert trees.positions.tolist() == [[0, 1, 2, 3, 2]]
    assert trees.columns.tolist() == [1, 2, 1]
    assert trees.targets.tolist() == [7, 8, 9]
    assert trees.sees[0, 0, 4].tolist() == [True, True, False, False, True]
