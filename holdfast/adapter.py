"""A LoRA adapter and the base that it adapts: one checkpoint, known by the content of both.

What is evaluated and repaired is the sum, every adapted weight being W + scale * B A with scale
alpha / r, or alpha / sqrt(r) under rsLoRA (https://arxiv.org/abs/2106.09685,
https://arxiv.org/abs/2312.03732). So only the plain form is taken. Whatever computes something else
than that sum (DoRA, modules saved whole, biases, embeddings that grew, a start that changed the
base) is refused by name, and so is an adapter that comes without its base.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

from holdfast.admission import AdmittedFile, strict_json
from holdfast.checkpoint import (
    ADAPTER,
    ADAPTER_CONFIG,
    CheckpointRef,
    FileEntry,
    admit,
    admitted_folder,
    chat_template,
    manifest_digest,
    template_digest,
    tensor_spans,
)
from holdfast.errors import CheckpointRefused
from holdfast.weights import TensorSpan

ADAPTER_WEIGHTS = "adapter_model.safetensors"
FACTOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
TIED_HEADS = ("lm_head", "embed_out")
DTYPES = ("F32", "BF16", "F16")
STARTS = (True, False, "gaussian", "orthogonal", "eva")  # the others change the base's weights

SAYS_HOW_IT_WAS_MADE = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "eva_config",
        "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform",
        "lora_dropout", "megatron_core", "peft_version", "qalora_group_size", "revision",
        "runtime_config", "target_modules", "task_type",
    }
)  # fmt: skip
READ = frozenset({"peft_type", "r", "lora_alpha", "use_rslora", "bias", "init_lora_weights"})
INSTEAD = "merge it with the library that made it, and submit the merged folder"


@dataclass(frozen=True, slots=True)
class PlainLora:
    """What is added to which weights: `factors` names A and B by the name of the base's tensor."""

    scale: float
    factors: Mapping[str, tuple[str, str]]


def admitted(uri: str, adapter: str | None, roots: Sequence[Path]) -> CheckpointRef:
    """A checkpoint, with the adapter of which it is the base if one is named."""
    return admit(uri, roots) if adapter is None else admit_adapted(uri, adapter, roots)


def admit_adapted(uri: str, adapter: str, roots: Sequence[Path]) -> CheckpointRef:
    """Check and hash a base and an adapter of it; the digest covers the files of both.

    Raises CheckpointRefused with one sentence about the first thing that is wrong.
    """
    base = admit(uri, roots)
    folder, found = admitted_folder(adapter, roots)
    _check_files({file.path for file in found}, folder)
    read_lora(base.path, folder)
    own = chat_template(folder)
    if own is not None and template_digest(own) != base.template_sha256:
        raise CheckpointRefused(
            f"adapter {folder.name} brings another chat template than its base; which of them is "
            f"served cannot be told: {INSTEAD}"
        )
    files = (*base.files, *map(_entry, found))
    return replace(
        base,
        name=f"{base.name}+{folder.name}"[:200],
        digest=manifest_digest(files),
        files=files,
        stamps=(*base.stamps, *(file.stamp for file in found)),
        adapter=folder,
    )


def _entry(file: AdmittedFile) -> FileEntry:
    return FileEntry(f"{ADAPTER}{file.path}", file.stamp.size, file.sha256)


def _check_files(names: set[str], folder: Path) -> None:
    _require_files(names, folder)
    more = sorted(name for name in names if name.endswith(".safetensors"))
    if more != [ADAPTER_WEIGHTS]:
        odd = next(name for name in more if name != ADAPTER_WEIGHTS)
        raise CheckpointRefused(
            f"adapter {folder}: {odd} lies beside {ADAPTER_WEIGHTS}; keep the adapter's own files"
        )


def _require_files(names: set[str], folder: Path) -> None:
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if name not in names:
            raise CheckpointRefused(
                f"adapter {folder} holds no {name}; expected a folder that peft has saved"
            )


def read_lora(base: Path, adapter: Path) -> PlainLora:
    """What an adapter adds to the weights of its base; CheckpointRefused if it is no plain sum."""
    _require_files({file.name for file in adapter.glob("*") if file.is_file()}, adapter)
    config = strict_json((adapter / ADAPTER_CONFIG).read_bytes(), ADAPTER_CONFIG)
    known = strict_json((base / "config.json").read_bytes(), str(base / "config.json"))
    weights = {
        name: span
        for file in sorted(base.glob("*.safetensors"))
        for name, span in tensor_spans(file).items()
    }
    if isinstance(known, dict) and known.get("tie_word_embeddings"):
        for head in TIED_HEADS:  # what is added to it would be lost, or added to the embedding too
            weights.pop(f"{head}.weight", None)
    rank, scale = rank_and_scale(config)
    return PlainLora(scale, pair_factors(tensor_spans(adapter / ADAPTER_WEIGHTS), weights, rank))


def rank_and_scale(config: Any) -> tuple[int, float]:
    """The rank of a plain LoRA and what its product is multiplied with."""
    if not isinstance(config, dict):
        raise CheckpointRefused(f"{ADAPTER_CONFIG}: not a JSON object; save the adapter again")
    expected = {"peft_type": ("LORA",), "bias": ("none",), "init_lora_weights": STARTS}
    for key, allowed in expected.items():
        _require(key, config.get(key, allowed[0] if key != "peft_type" else None), allowed)
    for key in sorted(config.keys() - SAYS_HOW_IT_WAS_MADE - READ):
        if config[key]:
            raise CheckpointRefused(
                f"{ADAPTER_CONFIG}: {key} is set ({config[key]!r:.60}), so this is no plain LoRA; "
                f"{INSTEAD}"
            )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or rank < 1 or not isinstance(alpha, int | float):
        raise CheckpointRefused(
            f"{ADAPTER_CONFIG}: r is {rank!r} and lora_alpha {alpha!r}; expected a rank of at "
            "least 1 and a number"
        )
    return rank, alpha / (sqrt(rank) if config.get("use_rslora") else rank)


def _require(key: str, found: Any, allowed: Sequence[Any]) -> None:
    if not any(found is one or (isinstance(one, str) and found == one) for one in allowed):
        raise CheckpointRefused(
            f"{ADAPTER_CONFIG}: {key} is {found!r:.60}, and a plain LoRA has "
            f"{' or '.join(map(repr, allowed))}; {INSTEAD}"
        )


def pair_factors(
    adapter: Mapping[str, TensorSpan], base: Mapping[str, TensorSpan], rank: int
) -> dict[str, tuple[str, str]]:
    """The names of A [r, in] and B [out, r] by the name of the base's weight [out, in]."""
    sides: dict[str, dict[str, str]] = {}
    for name in adapter:
        found = FACTOR.fullmatch(name)
        if found is None:
            raise CheckpointRefused(
                f"{ADAPTER_WEIGHTS}: tensor {name!r} is no lora_A or lora_B of a linear layer; "
                f"{INSTEAD}"
            )
        sides.setdefault(f"{found['module']}.weight", {})[found["side"]] = name
    if not sides:
        raise CheckpointRefused(f"{ADAPTER_WEIGHTS} holds no tensors; save the adapter again")
    for weight, names in sides.items():
        if names.keys() != {"A", "B"}:
            raise CheckpointRefused(
                f"{ADAPTER_WEIGHTS}: {weight} has only lora_{min(names)}; save the adapter again"
            )
        _check_shapes(weight, adapter[names["A"]], adapter[names["B"]], base.get(weight), rank)
    return {weight: (names["A"], names["B"]) for weight, names in sides.items()}


def _check_shapes(
    weight: str, a: TensorSpan, b: TensorSpan, base: TensorSpan | None, rank: int
) -> None:
    if base is None:
        raise CheckpointRefused(
            f"the adapter changes {weight}, which the base does not store (or ties to another "
            "weight); give the base that the adapter was trained on"
        )
    if len(base.shape) != 2 or (b.shape, a.shape) != ((base.shape[0], rank), (rank, base.shape[1])):
        raise CheckpointRefused(
            f"{weight} is {list(base.shape)} in the base, and the adapter adds "
            f"{list(b.shape)} x {list(a.shape)} of rank {rank}; give the base that the adapter was "
            "trained on"
        )
    if not {a.dtype, b.dtype} <= set(DTYPES):
        raise CheckpointRefused(
            f"{ADAPTER_WEIGHTS}: {weight} is adapted in {a.dtype} and {b.dtype}, expected "
            f"{' or '.join(DTYPES)}; save it as plain weights"
        )
