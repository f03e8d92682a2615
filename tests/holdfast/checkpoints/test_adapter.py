"""A base and an adapter are one checkpoint, known by both; what is no plain LoRA is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints.adapter import admit_checkpoint, read_lora
from holdfast.checkpoints.chat_template import template_digest
from holdfast.checkpoints.checkpoint import ADAPTER, admit, verify_unchanged
from holdfast.errors import CheckpointRefused
from tests.support.folders import write_tensors
from tests.support.template_layouts import MORE, named, of_processor, write_layout

Q = "model.layers.0.self_attn.q_proj"
A, B = (f"base_model.model.{Q}.lora_{side}.weight" for side in "AB")
BASE = {f"{Q}.weight": (4, 6), "lm_head.weight": (8, 6), "model.norm.weight": (6,)}
FACTORS = {A: (2, 6), B: (4, 2)}
CONFIG: dict[str, Any] = {  # as peft writes it, but for what is null there
    "peft_type": "LORA", "r": 2, "lora_alpha": 8, "bias": "none", "init_lora_weights": True,
    "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", "use_dora": False, "use_rslora": False,
    "base_model_name_or_path": "/somewhere", "peft_version": "0.21.2", "rank_pattern": {},
    "modules_to_save": None, "lora_dropout": 0.1, "inference_mode": True, "qalora_group_size": 16,
    "megatron_core": "megatron.core", "fan_in_fan_out": False, "loftq_config": {},
}  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama", "tie_word_embeddings": false}')
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    write_tensors(folder / "model.safetensors", BASE)
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    configure(folder)
    write_tensors(folder / "adapter_model.safetensors", FACTORS)
    (folder / "README.md").write_text("# an adapter")
    return folder


def configure(adapter: Path, **changes: object) -> None:
    (adapter / "adapter_config.json").write_text(json.dumps(CONFIG | changes))


def test_the_digest_covers_base_and_adapter(base: Path, adapter: Path, tmp_path: Path) -> None:
    alone = admit(str(base), [tmp_path])
    both = admit_checkpoint(str(base), str(adapter), [tmp_path])
    assert (both.path, both.adapter, both.name) == (base, adapter, "base+adapter")
    assert both.template_sha256 == alone.template_sha256
    assert {file.path for file in both.files} - {file.path for file in alone.files} == {
        f"{ADAPTER}{name}"
        for name in ("README.md", "adapter_config.json", "adapter_model.safetensors")
    }
    verify_unchanged(both)
    configure(adapter, lora_alpha=4)
    other = admit_checkpoint(str(base), str(adapter), [tmp_path])
    assert len({alone.digest, both.digest, other.digest}) == 3
    with pytest.raises(CheckpointRefused, match=r"\+adapter/adapter_config\.json"):
        verify_unchanged(both)
    assert admit_checkpoint(str(base), None, [tmp_path]) == alone


def test_an_adapter_without_its_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="give the base's folder"):
        admit(str(adapter), [tmp_path])


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({}, 4.0),
        ({"lora_alpha": 3}, 1.5),
        ({"use_rslora": True}, 8 / 2**0.5),
        ({"init_lora_weights": "gaussian"}, 4.0),
    ],
)
def test_what_is_added_and_how_much_of_it(
    base: Path, adapter: Path, changes: dict[str, Any], scale: float
) -> None:
    configure(adapter, **changes)
    lora = read_lora(base, adapter)
    assert lora.scale == pytest.approx(scale)
    assert lora.factors == {f"{Q}.weight": (A, B)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"use_dora": True}, "use_dora is set"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is set"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"lora_bias": True}, "lora_bias is set"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern is set"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern is set"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out is set"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices is set"),
        ({"something_new": {"a": 1}}, "something_new is set"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"peft_type": None}, "peft_type is None"),
        ({"r": 0}, "r is 0"),
        ({"r": True}, "r is True"),
        ({"lora_alpha": "8"}, "lora_alpha '8'"),
        ({"r": 3}, r"of rank 3; give the base"),
    ],
)
def test_a_config_that_is_no_plain_lora(
    base: Path, adapter: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    configure(adapter, **changes)
    with pytest.raises(CheckpointRefused, match=says):
        admit_checkpoint(str(base), str(adapter), [tmp_path])


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ({}, "holds no tensors"),
        ({A: (2, 6)}, "only lora_A"),
        ({A: (2, 5), B: (4, 2)}, r"\[4, 2\] x \[2, 5\]"),
        ({A.replace("q_proj", "k_proj"): (2, 6), B.replace("q_proj", "k_proj"): (4, 2)}, "k_proj"),
        (FACTORS | {"base_model.model.lm_head.weight": (8, 6)}, "no lora_A or lora_B"),
        (FACTORS | {A.replace("lora_A.weight", "lora_magnitude_vector"): (4,)}, "magnitude"),
        (FACTORS | {"base_model.model.model.embed.lora_embedding_A": (2, 8)}, "lora_embedding_A"),
    ],
)
def test_tensors_that_are_no_sum_with_this_base(
    base: Path, adapter: Path, tmp_path: Path, factors: dict[str, tuple[int, ...]], says: str
) -> None:
    write_tensors(adapter / "adapter_model.safetensors", factors)
    with pytest.raises(CheckpointRefused, match=says):
        admit_checkpoint(str(base), str(adapter), [tmp_path])


def tie_head(base: Path, adapter: Path) -> None:
    (base / "config.json").write_text('{"model_type": "llama", "tie_word_embeddings": true}')
    names = (A.replace(Q, "lm_head"), B.replace(Q, "lm_head"))
    shapes = dict(zip(names, [(2, 6), (8, 2)], strict=True))
    write_tensors(adapter / "adapter_model.safetensors", shapes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _, adapter: (adapter / "adapter_config.json").unlink(), "no adapter_config"),
        (lambda _, adapter: (adapter / "adapter_model.safetensors").unlink(), "no adapter_model"),
        (
            lambda _, adapter: configure(adapter, auto_map={}),
            "'auto_map' asks the loader to run code",
        ),
        (lambda _, adapter: (adapter / "adapter_config.json").write_text("[]"), "not a JSON obj"),
        (
            lambda _, adapter: (adapter / "chat_template.jinja").write_text("{{ other }}"),
            "another chat template",
        ),
        (
            lambda _, adapter: write_tensors(
                adapter / "adapter_model.safetensors", FACTORS, dtype="I64"
            ),
            "adapted in I64",
        ),
        (tie_head, "ties to another"),
    ],
)
def test_folders_that_are_no_adapter_of_this_base(
    base: Path, adapter: Path, tmp_path: Path, change: Callable[[Path, Path], object], says: str
) -> None:
    change(base, adapter)
    with pytest.raises(CheckpointRefused, match=says):
        admit_checkpoint(str(base), str(adapter), [tmp_path])


def test_what_a_trainer_leaves_beside_the_adapter_is_ignored(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    clean = admit_checkpoint(str(base), str(adapter), [tmp_path])
    (adapter / "training_args.bin").touch()
    write_tensors(adapter / "more.safetensors", {"w": (1,)})
    ref = admit_checkpoint(str(base), str(adapter), [tmp_path])
    assert ref.digest == clean.digest
    assert ref.ignored == ("+adapter/more.safetensors", "+adapter/training_args.bin")


OTHER = "{{ other }}"
PLACES: dict[str, dict[str, Any]] = {
    "jinja": {"chat_template.jinja": OTHER},
    "config": {"tokenizer_config.json": json.dumps({"chat_template": OTHER})},
    "list": {"tokenizer_config.json": json.dumps(named(default=OTHER))},
    "additional": {f"{MORE}default.jinja": OTHER},
    "additional over the base's": {
        f"{MORE}default.jinja": OTHER,
        "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}),
    },
    "empty": {"chat_template.jinja": ""},
}


@pytest.mark.parametrize("files", PLACES.values(), ids=PLACES.keys())
def test_another_template_is_refused_wherever_it_lies(
    files: dict[str, Any], base: Path, adapter: Path, tmp_path: Path
) -> None:
    write_layout(adapter, files)
    with pytest.raises(CheckpointRefused, match="brings another chat template than its base"):
        admit_checkpoint(str(base), str(adapter), [tmp_path])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"chat_template.json": of_processor(OTHER)}, "chat_template.json holds a chat template"),
        ({"special_tokens_map.json": of_processor(OTHER)}, "key 'chat_template' would replace"),
        ({f"{MORE}rag.jinja": OTHER}, "without one named 'default'"),
    ],
)
def test_an_adapter_whose_template_cannot_be_told_is_refused(
    files: dict[str, Any], says: str, base: Path, adapter: Path, tmp_path: Path
) -> None:
    write_layout(adapter, files)
    with pytest.raises(CheckpointRefused, match=says):
        admit_checkpoint(str(base), str(adapter), [tmp_path])


def test_the_template_of_a_base_is_looked_for_in_every_place_as_well(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    write_layout(base, {f"{MORE}default.jinja": OTHER})
    write_layout(adapter, {"chat_template.jinja": OTHER})
    ref = admit_checkpoint(str(base), str(adapter), [tmp_path])
    assert ref.template_sha256 == template_digest(OTHER)
    write_layout(adapter, {"chat_template.jinja": "{{ messages }}"})
    with pytest.raises(CheckpointRefused, match="brings another chat template than its base"):
        admit_checkpoint(str(base), str(adapter), [tmp_path])


def test_the_same_template_beside_the_adapter_is_no_other(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    assert admit_checkpoint(str(base), str(adapter), [tmp_path]).adapter == adapter
