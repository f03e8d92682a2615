"""One naming for two checkpoints whose files call the same tensors differently.

A model in memory has other names than its published files: experts lie in one tensor, a head or a
prefix is called otherwise. `save_pretrained` changes them back, accelerate's `save_model` and
sharded trainers do not. Which names mean the same is read from transformers' own table of
conversions, on a model without weights. An expert's rows are one run of bytes within the tensor of
all experts, so the finer names are spans like any other and nothing is copied.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    Concatenate,
    MergeModulelist,
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)

from training.weights.shards import FileTensor, Span, read_object

# what transformers raises for a config that it knows no model of, or none with such sizes
NO_CONFIG = (OSError, ValueError, TypeError, LookupError, StrictDataclassError)
# what a tensor in memory may be made of so that its parts lie in it one after the other
IN_ORDER = (
    ((MergeModulelist, 0),),
    ((MergeModulelist, 0), (Concatenate, 1)),
    ((Concatenate, 0),),
)


def read_config(folder: Path) -> dict[str, Any]:
    """The config with every default written out; as it stands where transformers knows no such."""
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except NO_CONFIG:
        return read_object(folder / "config.json")
    meant: dict[str, Any] = config.get_text_config().to_dict()
    return meant | {"model_type": config.model_type}


@dataclass(frozen=True, slots=True)
class Parts:
    """The names in a file that make up one tensor in memory, in the order of its bytes."""

    names: tuple[str, ...]
    stacked: bool  # along a new first dimension, as experts are


def tensors_in_memory(folder: Path, names: Iterable[str]) -> dict[str, Parts]:
    """The tensors that the names of a file make up once the library has loaded them.

    Left out is what comes of an operation that moves single weights about.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except NO_CONFIG:  # a model that the library does not know has one naming
        return {}
    table = get_model_conversion_mapping(model)
    renamings = [entry for entry in table if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in table if isinstance(entry, WeightConverter)]
    sources: dict[str, dict[str | None, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(names, key=dot_natural_key):
        target, pattern = rename_source_key(
            name, renamings, converters, model.base_model_prefix, model.state_dict()
        )
        sources[target][pattern].append(name)
    parts_by_target = {target: _parts(converters, by) for target, by in sources.items()}
    return {target: parts for target, parts in parts_by_target.items() if parts is not None}


def _parts(
    converters: Sequence[WeightConverter], by_pattern: Mapping[str | None, Sequence[str]]
) -> Parts | None:
    if by_pattern.keys() == {None}:
        (names,) = by_pattern.values()
        return Parts(tuple(names), stacked=False) if len(names) == 1 else None
    for converter in converters:
        if by_pattern.keys() == set(converter.source_patterns):
            operations = tuple(
                (type(operation), getattr(operation, "dim", 0))
                for operation in converter.operations
            )
            columns = [by_pattern[pattern] for pattern in converter.source_patterns]
            if operations not in IN_ORDER or len({len(names) for names in columns}) != 1:
                return None
            stacked = operations[0][0] is MergeModulelist
            return Parts(tuple(chain(*zip(*columns, strict=True))), stacked=stacked)
    return None


def split(span: Span, name: str, parts: Parts, like: Mapping[str, Span]) -> dict[str, Span] | None:
    """A tensor as its parts, which are shaped as in `like`; None where they do not fill it."""
    shapes = [like[part].shape for part in parts.names]
    if not shapes[0] or len({shape[1:] for shape in shapes}) != 1:
        return None
    rows = sum(shape[0] for shape in shapes)
    experts = span.shape[0] if parts.stacked and span.shape else 1
    first = (experts, rows // max(experts, 1)) if parts.stacked else (rows,)
    if span.shape != (*first, *shapes[0][1:]) or prod(span.shape) == 0:
        return None
    pieces: dict[str, Span] = {}
    begin, width = span.begin, span.nbytes // span.elements
    for part, shape in zip(parts.names, shapes, strict=True):
        size = prod(shape) * width
        pieces[part] = replace(
            span, shape=shape, begin=begin, nbytes=size, part_of=FileTensor(name, span.shape)
        )
        begin += size
    return pieces
