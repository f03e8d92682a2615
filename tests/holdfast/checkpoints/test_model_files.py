"""The table of a model's files, in both directions: all that loaders read, and nothing else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import transformers
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.utils import (
    CONFIG_NAME,
    FEATURE_EXTRACTOR_NAME,
    GENERATION_CONFIG_NAME,
    PROCESSOR_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
)

from holdfast.checkpoints.built_in_models import MODEL_TYPES
from holdfast.checkpoints.model_files import WEIGHTS, Role, role_of
from tests.support.folder_layouts import DEEPSPEED, LISTED, LOCAL_DIR, OTHER_FORMS, TRAINER


def vocabulary_files() -> Iterator[str]:
    """The files that the installed tokenizers name as theirs, read from their source."""
    for file in Path(transformers.__file__).parent.rglob("tokenization_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = node.targets if isinstance(node, ast.Assign) else []
            if any(getattr(name, "id", "").lower() == "vocab_files_names" for name in names):
                assert isinstance(node, ast.Assign)
                texts = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
                yield from (text for text in texts if isinstance(text, str) and "." in text)


def test_what_the_installed_libraries_load_makes_up_a_model() -> None:
    read = {
        *vocabulary_files(),
        *(CONFIG_NAME, FEATURE_EXTRACTOR_NAME, GENERATION_CONFIG_NAME, PROCESSOR_NAME),
        *(SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, "chat_template.jinja"),
        "additional_chat_templates/rag.jinja",
        "quantize_config.json",
    }
    assert len(read) > 25
    assert {name for name in read if role_of(name, {WEIGHTS}) is not Role.MODEL} == set()


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "trainer_state.json", "all_results.json", "modules.json", "params.json"),
        *("1_Pooling/config.json", "onnx/tokenizer.json", "original/tokenizer.model"),
        *(*TRAINER, *LOCAL_DIR, *DEEPSPEED, *OTHER_FORMS, *LISTED["original"], *LISTED["onnx"]),
        *("model.safetensors.bak", "config.json.swp", "LICENSE.exe", "modeling.py", "logo.png"),
    ],
)
def test_what_no_loader_reads_does_not(name: str) -> None:
    assert role_of(name, {WEIGHTS}) is not Role.MODEL


def test_the_built_in_model_types_are_those_of_the_installed_transformers() -> None:
    installed = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES | MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    assert set(installed) == MODEL_TYPES
