"""Which model a checkpoint's config describes, if any: read before an engine sees it.

A config is foreign text. What the library makes of a bad one is an error of almost any kind, deep
inside a class of its own; here it is a fault of the file, in one sentence. Models that cannot go on
from a prompt are named as well.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, GenerationConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto as auto

from holdfast.checkpoints.json_files import abridged
from holdfast.errors import CheckpointRefused
from holdfast.models.quantisation import quantisation_config

CONFIG_ERRORS = (
    # What transformers 5.19 raises where a config is not one: its dataclasses for a wrong type, its
    # validators and layers for a wrong value, torch on the meta device for an impossible shape.
    # Nothing that a real model asks for is allocated there, so none of them is a lack of memory.
    StrictDataclassError,
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    RecursionError,
    OSError,
)

SETTINGS = ("config.json", "generation_config.json", "tokenizer_config.json")
TABLES: tuple[Any, ...] = (
    auto.MODEL_FOR_CAUSAL_LM_MAPPING,
    auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
)
MAX_LAYERS = 1000
SENTENCE = 300  # characters of the library's own words


def read_config(checkpoint: Path) -> PretrainedConfig:
    """The config as the library reads it; raises CheckpointRefused where it describes no model.

    No code of the checkpoint is run. The files of settings beside it are read as well.
    """
    if not (checkpoint / "config.json").is_file():
        raise CheckpointRefused(f"{checkpoint} holds no config.json")
    for name in SETTINGS:
        _check_object(checkpoint / name)
    with blaming("config.json"):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            checkpoint, local_files_only=True, trust_remote_code=False
        )
    if (checkpoint / "generation_config.json").is_file():
        with blaming("generation_config.json"):
            GenerationConfig.from_pretrained(checkpoint, local_files_only=True)
    _check_layers(config)
    return config


def quantisation_settings(checkpoint: Path) -> dict[str, Any] | None:
    """The quantisation settings of config.json; None where nothing is quantised."""
    return quantisation_config(json.loads((checkpoint / "config.json").read_bytes()))


def generating_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """The library's class for this config that writes text, token after token.

    Raises CheckpointRefused for encoders, for models that read one text and write another, and
    where `architectures`, by which vLLM chooses, names another model than `model_type`, by which
    transformers does.
    """
    kind = config.model_type
    if config.is_encoder_decoder or kind in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        raise CheckpointRefused(
            f"config.json: {kind} with an encoder and a decoder is no causal language model; "
            "this gate asks models that go on from a prompt"
        )
    if kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False):
        raise CheckpointRefused(
            f"config.json: {kind} is an encoder, which fills in masked words and answers nothing; "
            'give a causal language model, or set "is_decoder": true if it was trained as one'
        )
    for table in TABLES:
        if type(config) in table:
            model_class: type[PreTrainedModel] = table[type(config)]
            _check_architectures(config, model_class)
            return model_class
    raise CheckpointRefused(
        f"config.json: transformers {transformers.__version__} has no causal language model of "
        f"type {kind!r}"
    )


def _check_architectures(config: PretrainedConfig, model_class: type[PreTrainedModel]) -> None:
    names = config.architectures
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointRefused(
            f"config.json: architectures is {abridged(names)}, expected a list of class names such "
            f"as [{model_class.__name__!r}]"
        )
    for name in names:
        other = getattr(transformers, name, None)  # names of other libraries' are theirs to judge
        if other is None or (_is_model(other) and issubclass(model_class, other)):
            continue
        if not (_is_model(other) and _generates(other, config)):
            raise CheckpointRefused(
                f"config.json: architectures names {name:.80}, but model_type "
                f"{config.model_type!r} makes a {model_class.__name__}; set one to what the other "
                "says, and save the whole model where it was saved without its head"
            )


def _is_model(named: object) -> bool:
    return isinstance(named, type) and issubclass(named, PreTrainedModel)


def _generates(model_class: type[PreTrainedModel], config: PretrainedConfig) -> bool:
    of_config = model_class.config_class  # none, for a class that is no single model
    return of_config is not None and isinstance(config, of_config) and model_class.can_generate()


def _check_layers(config: PretrainedConfig) -> None:
    """Raise CheckpointRefused for an impossible number of layers, before they are built."""
    with blaming("config.json"):
        layers = config.get_text_config().num_hidden_layers
    if not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:
        raise CheckpointRefused(
            f"config.json asks for {abridged(layers)} layers, expected 1 to {MAX_LAYERS}; correct "
            "num_hidden_layers, or take the file of its base"
        )


def _check_object(file: Path) -> None:
    if not file.is_file():
        return
    content = json.loads(file.read_bytes())
    if not isinstance(content, dict):
        raise CheckpointRefused(
            f"{file.name} is a {type(content).__name__}, expected an object of settings; "
            "save the model again, or take the file of its base"
        )


@contextmanager
def blaming(file: str, makes: str = "model") -> Iterator[None]:
    """A block in which whatever the library raises is refused as a fault of this file."""
    try:
        yield
    except CheckpointRefused:
        raise
    except CONFIG_ERRORS as error:
        message = " ".join(str(error).split())[:SENTENCE]
        raise CheckpointRefused(
            f"{file} makes no {makes} that transformers {transformers.__version__} can build "
            f"({type(error).__name__}: {message}); correct it, or take the file of its base"
        ) from error
