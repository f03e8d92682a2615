"""The model type and loader code in a folder's configs, and why the folder may be no model.

Keys that name code are no fault where the library has the model built in: no loader is shown them,
and the digest stays that of the files as they are. Where the code is needed, it is not run.
"""

import re
from collections.abc import Iterator
from typing import Any

from holdfast.checkpoints.admission import AdmittedFile, AdmittedFolder
from holdfast.checkpoints.built_in_models import MODEL_TYPES
from holdfast.checkpoints.config_values import odd_values
from holdfast.checkpoints.json_files import abridged, code_keys
from holdfast.checkpoints.model_files import ADAPTER_CONFIG

MODEL_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def check_config(folder: AdmittedFolder) -> Iterator[str]:
    """A sentence about everything that keeps the folder from being a model's."""
    if ADAPTER_CONFIG in folder.files:
        yield (
            f"{ADAPTER_CONFIG} makes this an adapter, which is no checkpoint without its base; "
            "give the base's folder, and this one as its `adapter`"
        )
    if "config.json" in folder.findings:
        return
    if "config.json" not in folder.files:
        yield "no config.json; expected the folder of a transformers checkpoint"
        return
    model_type = model_type_of(folder)
    if not isinstance(model_type, str) or not MODEL_TYPE.fullmatch(model_type):
        yield f"config.json: model_type is {abridged(model_type)}, expected a name such as 'llama'"
    elif model_type not in MODEL_TYPES:
        for key, path in _code_keys(folder):
            yield (
                f"{path}: key {key!r} asks the loader to run code, and {model_type!r} is no model "
                "type that transformers has built in; only built-in models are evaluated"
            )
    yield from (
        f"{path}: {clause}"
        for path, file in folder.files.items()
        if path.endswith("config.json")
        for clause in odd_values(file.content)
    )


def model_type_of(folder: AdmittedFolder) -> Any:
    """The model type that config.json names."""
    config = folder.files["config.json"].content
    return config.get("model_type") if isinstance(config, dict) else None


def dropped_keys(folder: AdmittedFolder) -> tuple[str, ...]:
    """The keys of the configs that no loader is shown: code that a built-in model does not need."""
    return tuple(f"{key} in {path}" for key, path in _code_keys(folder))


def _code_keys(folder: AdmittedFolder) -> list[tuple[str, str]]:
    return [
        (key, path)
        for path, file in folder.files.items()
        if asks_for_code(file)
        for key in sorted(code_keys(file.content))
    ]


def asks_for_code(file: AdmittedFile) -> bool:
    """Whether a loader would take the names of code from this file; a vocabulary holds any word."""
    return file.path.endswith("config.json") and bool(code_keys(file.content))
