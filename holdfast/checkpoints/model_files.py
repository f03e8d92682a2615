"""Which files of a folder make up a model, by one literal table.

Trainers, hubs and quantisers leave much beside a model. Every file is one of three:

    model     a loader reads it, so the staged view that engines see holds it
    counted   no loader reads it, but the digest covers it: admission has always taken its kind
    ignored   anything else: optimizer states, pickles beside safetensors, logs, code; never opened

Weights are those that the index names, or `model.safetensors` where there is no index; loaders
disagree on any other choice. A subfolder counts only where all of it does, so the digest never
hangs on a part of one; of the chat templates beside the default one, none is ever left out.
"""

import re
from collections.abc import Collection
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
TEMPLATE_FOLDER = "additional_chat_templates"

PARTS: dict[str, tuple[str, ...]] = {
    "configuration": ("config.json", "generation_config.json", INDEX),
    "quantisation": ("quantize_config.json", "quant_config.json", "hf_quant_config.json"),
    "tokenizer": (
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "vocab.txt", "merges.txt", "*.model", "*.spm", "*.tiktoken", "tekken.json",
        "tokenizer.model.v*", "normalizer.json", "bpe.codes", "dict.txt", "emoji.json",
        "byte_maps.json", "entity_vocab.json", "target_vocab.json", "vocab-*.json",
        "prophetnet.tokenizer", "word_shape.json", "word_pronunciation.json",
    ),
    "chat template": ("chat_template.jinja", "chat_template.json"),  # and is_named_template
    "processor": (
        "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
        "audio_tokenizer_config.json",
    ),
    "adapter": (ADAPTER_CONFIG,),
    "licence": (  # no loader reads them, but they go where the model goes: into its repairs
        "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md", "NOTICE",
        "NOTICE.txt", "NOTICE.md", "COPYING", "USE_POLICY", "USE_POLICY.txt", "USE_POLICY.md",
    ),
    "script": ("scripted.json",),  # what the engine of `holdfast selftest` plays
}  # fmt: skip

COUNTED_SUFFIXES = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model", ".md"})
COUNTED_STEMS = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "README", "USE_POLICY")
COUNTED_NAMES = frozenset({".gitattributes"})  # every hub repository carries one
PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
PATTERNS = tuple(pattern for patterns in PARTS.values() for pattern in patterns)


class Role(Enum):
    """The role of a file in a checkpoint."""

    MODEL = "model"
    COUNTED = "counted"
    IGNORED = "ignored"


def role_of(path: str, weights: Collection[str]) -> Role:
    """The role of a file by its path relative to the folder; `weights` are those to be loaded."""
    if path in weights:
        return Role.MODEL
    if is_weights(path):
        return Role.IGNORED
    if _is_part(path) or is_named_template(path):
        return Role.MODEL
    return Role.COUNTED if is_counted_kind(PurePosixPath(path).name) else Role.IGNORED


def is_counted_kind(name: str) -> bool:
    """Whether a file of this name was among the kinds that the first version took."""
    suffix = PurePosixPath(name).suffix.lower()
    if not PLAIN_NAME.fullmatch(name):
        return False
    if name in COUNTED_NAMES or suffix in COUNTED_SUFFIXES:
        return True
    return name.upper().startswith(COUNTED_STEMS) and suffix == ""


def is_weights(path: str) -> bool:
    """Whether this is a file of safetensors."""
    return path.lower().endswith(".safetensors")


def is_named_template(path: str) -> bool:
    """Whether a tokenizer reads this file as an additional template, whatever it is called."""
    folder, _, name = path.rpartition("/")
    return folder == TEMPLATE_FOLDER and name.endswith(".jinja")


def _is_part(path: str) -> bool:
    depth = path.count("/")
    return all(PLAIN_NAME.fullmatch(name) for name in path.split("/")) and any(
        fnmatchcase(path, pattern) for pattern in PATTERNS if pattern.count("/") == depth
    )
