"""Whether a checkpoint holds its model: every parameter from the file, in the config's shape.

Model libraries fill what a file lacks with random numbers, or leave what stood in memory before,
and say so in a log. So before an engine loads anything, the library's own loader runs over the
headers of the files alone, on the meta device: all of its renaming, fusing and tying, and no
weight is read.
"""

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging as library_log

from holdfast.checkpoints.checkpoint import tensor_spans
from holdfast.checkpoints.safetensors_header import TensorSpan
from holdfast.errors import CheckpointRefused
from holdfast.models.quantisation import SETTINGS, method_of
from holdfast.models.unloadable import (
    Mismatch,
    Misshapen,
    explanation,
    first_names,
    gaps,
    odd_shapes,
)
from workers.inference.loading.capacity import blaming_machine, bounded_memory
from workers.inference.loading.model_config import (
    MAX_LAYERS,
    blaming,
    generating_class,
    quantisation_settings,
    read_config,
)
from workers.inference.loading.quantisation import LOADED_BY_LIBRARY, check_method, unpack

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "U16": torch.uint16, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32,
    "U32": torch.uint32, "F32": torch.float32, "I64": torch.int64, "U64": torch.uint64,
    "F64": torch.float64, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "C64": torch.complex64,
}  # fmt: skip

OLD_BUFFERS = (
    r"rotary_emb\.inv_freq$",
    r"(^|\.)position_ids$",
    r"\.(attn|attention)\.(bias|masked_bias|causal_mask)$",  # GPT-J, GPT-Neo, CodeGen, GPT
    r"\.embed_positions\.weights$",  # XGLM's sinusoids
    r"\.decoder\.version$",  # fairseq's
)
"""Constants that files of older releases carry; the library computes them."""

MORE_PREDICTIONS = (r"^(model\.)?mtp[._]",)
"""Layers that predict tokens further ahead: speed alone, no engine of ours runs them."""


@dataclass(frozen=True, slots=True)
class Loading:
    """The outcome of the library's loader on the headers of a checkpoint's files."""

    mismatch: Mismatch
    ignored: tuple[str, ...]


def check_architecture(checkpoint: Path, backend: str) -> list[str]:
    """Check that the files hold the config's model; a note if tensors of them are passed over.

    Raises CheckpointRefused where one that it needs is missing or of another shape, where one is
    left over, where no model can be made of the config, or the engine `backend` cannot read it;
    MachineUnfit where a package is missing that it asks for.
    """
    with blaming_machine(), bounded_memory(), blaming("config.json"):
        return _check_architecture(checkpoint, backend)


def _check_architecture(checkpoint: Path, backend: str) -> list[str]:
    config, settings = read_config(checkpoint), quantisation_settings(checkpoint)
    if settings is not None:
        check_method(settings, backend)
    if backend.startswith("vllm") and not config.architectures:
        raise CheckpointRefused(
            "config.json names no architectures, by which vLLM chooses the model; set "
            f'"architectures": ["{generating_class(config).__name__}"] in it'
        )
    loading = loading_of(config, spans_of(checkpoint), settings)
    if loading.mismatch:
        raise CheckpointRefused(explanation(loading.mismatch))
    note = (
        f"{len(loading.ignored)} tensors of the files are passed over, no part of this model "
        f"answers with them: {first_names(loading.ignored)}"
    )
    return [note] if loading.ignored else []


def loading_of(
    config: PretrainedConfig,
    spans: Mapping[str, TensorSpan],
    settings: Mapping[str, Any] | None = None,
) -> Loading:
    """Run the library's loader on a config and on headers alone.

    Quantised weights are looked at twice: as the plain ones that they stand for, by name and
    shape, and by name as they are, since the config says which layers have to be packed.
    """
    model_class = generating_class(config)
    with blaming("config.json"):
        if settings is None:
            return _loading(model_class, config, spans)
        plain, parts = unpack(spans, settings)
        if parts:
            return Loading(parts, ())
        loading = _loading(model_class, _without_quantisation(config), plain)
        if loading.mismatch or method_of(settings) not in LOADED_BY_LIBRARY:
            return loading
        packed = load_headers(model_class, config, spans)
        return packed if packed.mismatch else loading


def _loading(
    model_class: type[PreTrainedModel], config: PretrainedConfig, spans: Mapping[str, TensorSpan]
) -> Loading:
    loading = load_headers(model_class, config, spans)
    lost = None if loading.mismatch else _lost_embedding(model_class, config, spans)
    return Loading(lost, ()) if lost else loading


def _without_quantisation(config: PretrainedConfig) -> PretrainedConfig:
    plain = copy.deepcopy(config)
    for part in (plain, plain.get_text_config()):
        for name in SETTINGS:
            if hasattr(part, name):
                delattr(part, name)
    return plain


def load_headers(
    model_class: type[PreTrainedModel], config: PretrainedConfig, spans: Mapping[str, TensorSpan]
) -> Loading:
    """Load tensors that have names, dtypes and shapes alone into a model that has no more."""
    text_config = config.sub_configs.get("text_config")
    if text_config is not None and model_class.config_class is text_config:
        config = config.get_text_config()  # as the library's own auto class does
    empty = {
        name: torch.empty(span.shape, dtype=DTYPES[span.dtype], device="meta")
        for name, span in spans.items()
    }
    shapes = {name: span.shape for name, span in spans.items()}
    loader: Any = model_class  # what it returns depends on `output_loading_info`
    try:
        with _silent():
            model, report = loader.from_pretrained(
                None,
                config=config,
                state_dict=empty,
                device_map={"": "meta"},
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except RuntimeError:  # parts that do not fit together; which ones is in the library's log only
        irregular = Mismatch(shapes, missing=gaps(shapes), misshapen=odd_shapes(shapes))
        if not irregular:
            raise
        return Loading(irregular, ())
    return _compare(model, report, shapes)


def _lost_embedding(
    model_class: type[PreTrainedModel], config: PretrainedConfig, spans: Mapping[str, TensorSpan]
) -> Mismatch | None:
    """A tied model whose file has the head alone; transformers takes that, other loaders do not."""
    if not config.get_text_config().tie_word_embeddings:
        return None
    untied = copy.deepcopy(config)
    for part in (untied, untied.get_text_config()):
        part.tie_word_embeddings = False
    mismatch = load_headers(model_class, untied, spans).mismatch
    if mismatch.embedding is None or mismatch.embedding not in mismatch.missing:
        return None
    return replace(mismatch, missing={mismatch.embedding})


def _compare(
    model: PreTrainedModel, report: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> Loading:
    passed_over = re.compile("|".join(_passed_over(model)))
    unexpected = {name for name in report["unexpected_keys"] if not passed_over.search(name)}
    needed = model.state_dict()
    prefix = f"{model.base_model_prefix}."  # an inner model's file does without it
    ignored = (
        name
        for name in shapes
        if passed_over.search(name) and not {name, prefix + name} & needed.keys()
    )
    misshapen = [Misshapen(name, tuple(a), tuple(b)) for name, a, b in report["mismatched_keys"]]
    merged = [tensor for tensor in misshapen if tensor.name not in shapes]
    lacking = gaps(shapes) if merged else []  # one expert too few is another shape of all of them
    mismatch = Mismatch(
        shapes,
        missing=report["missing_keys"] | set(lacking),
        unexpected=unexpected,
        misshapen=[tensor for tensor in misshapen if not (lacking and tensor in merged)],
        head=_weight_of(model, model.get_output_embeddings()),
        embedding=_weight_of(model, model.get_input_embeddings()),
        vocab_size=model.config.get_text_config().vocab_size,
    )
    return Loading(mismatch, tuple(sorted(ignored)))


def _passed_over(model: PreTrainedModel) -> Iterator[str]:
    """Patterns of tensors that no engine of ours has a use for."""
    yield from OLD_BUFFERS
    yield from MORE_PREDICTIONS
    yield from model._keys_to_ignore_on_load_unexpected or ()  # noqa: SLF001  the only place
    config = model.config.get_text_config()
    first = config.num_hidden_layers
    more = getattr(config, "num_nextn_predict_layers", None) or 0
    for extra in range(min(more, MAX_LAYERS)):
        yield rf"\.layers\.{first + extra}\."


def _weight_of(model: PreTrainedModel, layer: torch.nn.Module | None) -> str | None:
    names = (name for name, module in model.named_modules() if module is layer)
    return next((f"{name}.weight" for name in names), None)


def spans_of(checkpoint: Path) -> dict[str, TensorSpan]:
    """Every tensor that the headers of the files name."""
    spans: dict[str, TensorSpan] = {}
    for file in sorted(checkpoint.glob("*.safetensors")):
        spans |= tensor_spans(file)
    return spans


@contextmanager
def _silent() -> Iterator[None]:
    """A block without the library's own report, which is a table for a terminal."""
    level = library_log.get_verbosity()
    library_log.set_verbosity_error()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        library_log.set_verbosity(level)
