"""What a checkpoint takes of memory, beside what transformers counts of it when it is loaded."""

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from holdfast.errors import CheckpointRefused
from holdfast.forecast.memory import ModelSize, needs_of, size_of
from holdfast.repairs.recipes import RECIPES
from tests.support.tiny_llama import build_tiny_llama


def test_a_size_is_that_of_the_loaded_model(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "m", shards=3)
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    width = config.num_key_value_heads * config.head_dim
    assert size_of(folder) == ModelSize(
        numbers=sum(weight.numel() for weight in model.parameters()),
        packed=0,
        cache=2 * config.num_hidden_layers * width,
    )


def test_a_folder_without_weights_is_refused_and_a_config_that_says_nothing_is_not(
    tmp_path: Path,
) -> None:
    with pytest.raises(CheckpointRefused, match="holds no"):
        size_of(tmp_path)
    folder = build_tiny_llama(tmp_path / "m")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert size_of(folder).cache is None


def test_every_recipe_is_in_one_row_and_more_models_take_more() -> None:
    needs = list(needs_of(ModelSize(1000, 10, 4), "bfloat16", tokens=50))
    assert needs[0].bytes == 2 * 1000 + 10 + 2 * 4 * 50
    named = " ".join(need.use for need in needs).replace("(", " ").replace(")", " ")
    words = named.replace(",", " ").split()
    assert all(words.count(recipe) == 1 for recipe in RECIPES)
    in_full = [need.bytes for need in needs if need.use.startswith("training all")]
    assert in_full == [16_000, 20_000, 24_000]


def test_devices_share_what_asking_takes() -> None:
    one, two = (next(needs_of(ModelSize(1000, 0, None), "float32", 50, n)) for n in (1, 2))
    assert (one.bytes, two.bytes) == (4000, 2000)
    assert "over 2 devices" in two.of
