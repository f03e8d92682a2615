"""The transformers engine on three families that cache in different ways.

`make check-families` does the same on all of them.
"""

from pathlib import Path

import pytest
import torch

from holdfast.probes.engine import Backend
from tests.support.plain_forward import other_answers, score_deviation
from tests.support.tiny_families import build_tiny
from workers.inference.transformers.batching import batches_of
from workers.inference.transformers.engine import TransformersEngine


@pytest.mark.parametrize("family", ["bamba", "gemma2", "mamba"])
def test_scores_and_answers_are_those_of_plain_forward_passes(family: str, tmp_path: Path) -> None:
    folder = build_tiny(family, tmp_path / "model", dtype=torch.float32)
    engine = TransformersEngine(Backend("transformers", "test", "float32"))
    engine.open(folder, None)
    assert score_deviation(engine, folder) < 1e-4
    assert other_answers(engine, folder) == ()


def test_rows_that_may_not_be_padded_stand_with_their_equals_alone() -> None:
    rows = ["aaa", "b", "cc", "d", "ee", "f"]
    assert list(batches_of(rows, len, 4, pads=True)) == [["b", "d", "f", "cc"], ["ee", "aaa"]]
    assert list(batches_of(rows, len, 2, pads=False)) == [["b", "d"], ["f"], ["cc", "ee"], ["aaa"]]
