"""Configs that make no model: each is the checkpoint's fault, and none ends the runner."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import CheckpointRefused, MachineUnfit
from tests.support.tiny_llama import build_tiny_llama
from workers.inference.backends import backend_of
from workers.inference.transformers.engine import TransformersEngine

MALFORMED: dict[str, dict[str, Any]] = {
    "a width in words": {"hidden_size": "x"},
    "a width without end": {"hidden_size": 10**30},
    "layers below zero": {"num_hidden_layers": -1},
    "layers in a list": {"num_hidden_layers": [2]},
    "a vocabulary in a list": {"vocab_size": [320]},
    "a head of a terabyte": {"head_dim": 10**12},
    "no heads": {"num_attention_heads": 0},
    "a text model in words": {"text_config": "x"},
    "a text model in a list": {"text_config": [1]},
    "a class that is no model": {"architectures": ["__class__"]},
    "a function for a class": {"architectures": ["pipeline"]},
    "labels in words": {"id2label": {"x": 1}},
    "layer types of a number": {"layer_types": 3},
    "predictions without end": {"num_nextn_predict_layers": "x"},
    "a quantisation of a list": {"quantization_config": [1]},
    "a dtype that is a module": {"dtype": "nn"},
    "a method that is a text": {"to_dict": "x"},
    "an activation of an object": {"hidden_act": {}},
    "a tail in words": {"rope_parameters": {"rope_type": "yarn", "factor": "x"}},
    "ends that are objects": {"eos_token_id": {}},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("sound") / "model")


def examine(folder: Path) -> None:
    TransformersEngine(backend_of("transformers", "float32", 2048)).examine(folder)


def changed(sound: Path, folder: Path, **changes: Any) -> Path:
    shutil.copytree(sound, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_config_is_refused(name: str, sound: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused) as refused:
        examine(changed(sound, tmp_path / "model", **MALFORMED[name]))
    assert len(str(refused.value)) < 1_000


def test_a_package_that_a_config_asks_for_is_the_machines_lack(sound: Path, tmp_path: Path) -> None:
    """Admission refuses such a config; an engine that is given one all the same does not die."""
    with pytest.raises(MachineUnfit, match="kernels"):
        examine(changed(sound, tmp_path / "model", attn_implementation="owner/repo"))


def test_the_sound_one_is_taken(sound: Path) -> None:
    examine(sound)
