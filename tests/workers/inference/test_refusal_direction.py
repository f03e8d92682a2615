"""The refusal direction of a tiny real model: its two sets of prompts, and one that has none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Backend
from holdfast.suites import Request, load_suite
from tests.support.tiny_llama import build_tiny_llama
from workers.inference.refusal_direction import (
    REQUESTS,
    before_answers,
    pool_requests,
    refusal_direction,
)
from workers.inference.transformers.engine import TransformersEngine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = build_tiny_llama(tmp_path_factory.mktemp("model") / "tiny", dtype=torch.float32)
    opened = TransformersEngine(Backend("transformers", "test", "float32"))
    opened.open(folder, None)
    return opened


def test_the_requests_are_the_pools_which_no_gate_asks() -> None:
    kinds = {
        item.prompt: item.kind
        for item in load_suite("rehearsal").items
        if isinstance(item, Request)
    }
    harmful, benign = pool_requests()
    assert len(set(harmful)) == len(set(benign)) == REQUESTS
    assert {kinds[prompt] for prompt in harmful} == {"harmful"}
    assert {kinds[prompt] for prompt in benign} == {"benign"}


def test_along_it_harmless_requests_lie_at_nought_and_harmful_ones_at_one(
    engine: TransformersEngine,
) -> None:
    direction = refusal_direction(engine)
    for texts, place in zip(pool_requests(), (1.0, 0.0), strict=True):
        found = before_answers(engine, texts, direction.layer)
        along = [float(direction.along(one[0])) for one in found]
        assert sum(along) / len(along) == pytest.approx(place, abs=1e-3)
    assert 0 < direction.separation < 1


def test_a_model_of_which_nothing_is_finite_has_no_direction(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "broken", dtype=torch.float32)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"].fill_(torch.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    opened = TransformersEngine(Backend("transformers", "test", "float32"))
    opened.open(folder, None)
    with pytest.raises(CheckpointRefused, match="is it really the trusted model"):
        refusal_direction(opened)
