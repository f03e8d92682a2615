"""A LoRA adapter and the base that it adapts: one checkpoint, known by the content of both.

What is evaluated and repaired is the sum, every adapted weight being W + scale * B A with scale
alpha / r, or alpha / sqrt(r) under rsLoRA (https://arxiv.org/abs/2106.09685,
https://arxiv.org/abs/2312.03732). So only the plain form is taken. Whatever computes something else
than that sum (DoRA, modules saved whole, biases, embeddings that grew, a start that changed the
base) is refused by name, and so is an adapter that comes without its base.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any, TypeGuard

from holdfast.checkpoints.admission import AdmittedFolder, admit_folder
from holdfast.checkpoints.chat_template import check_template, template_digest, template_in
from holdfast.checkpoints.checkpoint import (
    ADAPTER,
    MAX_NAME,
    CheckpointRef,
    admitted_model,
    entries,
    local_path,
    manifest_digest,
    ref_of,
    refuse_findings,
    tensor_spans,
)
from holdfast.checkpoints.json_files import MAX_JSON_BYTES, abridged, code_keys, strict_json
from holdfast.checkpoints.model_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from holdfast.checkpoints.safetensors_header import TensorSpan
from holdfast.errors import CheckpointRefused
from holdfast.plain_files import read_plain

FACTOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
TIED_HEADS = ("lm_head", "embed_out")
DTYPES = ("F32", "BF16", "F16")
MAX_RANK, MAX_ALPHA = 1 << 20, 1 << 30  # far beyond any that trained something
STARTS = (True, False, "gaussian", "orthogonal", "eva")  # the others change the base's weights

SAYS_HOW_IT_WAS_MADE = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "eva_config",
        "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform",
        "lora_dropout", "megatron_core", "peft_version", "qalora_group_size", "revision",
        "runtime_config", "target_modules", "task_type",
    }
)  # fmt: skip
log = logging.getLogger(__name__)

READ = frozenset({"peft_type", "r", "lora_alpha", "use_rslora", "bias", "init_lora_weights"})
INSTEAD = "merge it with the library that made it, and submit the merged folder"


@dataclass(frozen=True, slots=True)
class PlainLora:
    """A LoRA as scale and factors: `factors` names A and B by the name of the base's tensor."""

    scale: float
    factors: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AdmittedCheckpoint:
    """A checkpoint and its checked files: those of the base, and of the adapter if it has one."""

    ref: CheckpointRef
    model: AdmittedFolder
    adapter: AdmittedFolder | None = None


def admit_checkpoint(uri: str, adapter: str | None, roots: Sequence[Path]) -> CheckpointRef:
    """Check and hash a checkpoint, together with the adapter on it if one is named."""
    ref = admitted_checkpoint(uri, adapter, roots).ref
    if ref.ignored:
        log.info("checkpoint=%s path=%s ignored: %s", ref.digest, ref.path, ", ".join(ref.ignored))
    return ref


def admitted_checkpoint(
    uri: str, adapter: str | None, roots: Sequence[Path], keep: ExitStack | None = None
) -> AdmittedCheckpoint:
    """A checkpoint, its adapter and their files; `keep` closes those that stay open to be loaded.

    The digest covers the files of both. Raises CheckpointRefused with a sentence about everything
    that is wrong with a folder.
    """
    base = admitted_model(uri, roots, keep)
    ref = ref_of(base)
    if adapter is None:
        return AdmittedCheckpoint(ref, base)
    folder = admit_folder(local_path(adapter), roots, weights={ADAPTER_WEIGHTS}, keep=keep)
    refuse_findings(folder, [*_check_files(folder), *check_template(folder)])
    lora_of(folder, base)
    template = template_in(folder)
    if template is not None and template_digest(template) != ref.template_sha256:
        raise CheckpointRefused(
            f"adapter {folder.path.name} brings another chat template than its base; which of them "
            f"is served cannot be told: {INSTEAD}"
        )
    return AdmittedCheckpoint(_with_adapter(ref, folder), base, folder)


def _with_adapter(base: CheckpointRef, adapter: AdmittedFolder) -> CheckpointRef:
    adapted = [entry._replace(path=f"{ADAPTER}{entry.path}") for entry in entries(adapter)]
    files = (*base.files, *adapted)
    return replace(
        base,
        name=f"{base.name}+{adapter.path.name}"[:MAX_NAME],
        digest=manifest_digest(files),
        files=files,
        stamps=(*base.stamps, *(file.stamp for file in adapter.files.values())),
        adapter=adapter.path,
        ignored=(*base.ignored, *(f"{ADAPTER}{name}" for name in adapter.ignored)),
    )


def _check_files(folder: AdmittedFolder) -> Iterator[str]:
    config = folder.files.get(ADAPTER_CONFIG)
    if config is not None and (asking := code_keys(config.content)):
        yield f"{ADAPTER_CONFIG}: key {min(asking)!r} asks the loader to run code; remove it"
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if name not in folder.files | folder.findings:
            yield (f"adapter {folder.path} holds no {name}; expected a folder that peft has saved")


def lora_of(adapter: AdmittedFolder, base: AdmittedFolder) -> PlainLora:
    """The plain LoRA of an admitted adapter and its base; CheckpointRefused if it is none."""
    tensors = adapter.files[ADAPTER_WEIGHTS].tensors or {}
    weights = {
        name: span for file in base.files.values() for name, span in (file.tensors or {}).items()
    }
    config = base.files["config.json"].content
    return plain_lora(adapter.files[ADAPTER_CONFIG].content, tensors, config, weights)


def read_lora(base: Path, adapter: Path) -> PlainLora:
    """The plain LoRA of a base folder and an adapter folder, which nobody need have admitted."""
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise CheckpointRefused(
                f"adapter {adapter} holds no {name}; expected a folder that peft has saved"
            )
    weights = {
        name: span
        for file in sorted(base.glob("*.safetensors"))
        for name, span in tensor_spans(file).items()
    }
    return plain_lora(
        _config(adapter / ADAPTER_CONFIG, ADAPTER_CONFIG),
        tensor_spans(adapter / ADAPTER_WEIGHTS),
        _config(base / "config.json", str(base / "config.json")),
        weights,
    )


def _config(file: Path, place: str) -> Any:
    return strict_json(read_plain(file, MAX_JSON_BYTES, CheckpointRefused), place)


def plain_lora(
    config: Any,
    tensors: Mapping[str, TensorSpan],
    base_config: Any,
    base: Mapping[str, TensorSpan],
) -> PlainLora:
    """Scale and factors, by the configs and tensors of an adapter and its base."""
    weights = dict(base)
    if isinstance(base_config, dict) and base_config.get("tie_word_embeddings"):
        for head in TIED_HEADS:  # what is added to it would be lost, or added to the embedding too
            weights.pop(f"{head}.weight", None)
    rank, scale = rank_and_scale(config)
    return PlainLora(scale, pair_factors(tensors, weights, rank))


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
                f"{ADAPTER_CONFIG}: {key:.60} is set ({abridged(config[key])}), so this is "
                f"no plain LoRA; {INSTEAD}"
            )
    _require("use_rslora", config.get("use_rslora", False), (True, False, None))
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK or not _is_scale(alpha):
        raise CheckpointRefused(
            f"{ADAPTER_CONFIG}: r is {abridged(rank)} and lora_alpha {abridged(alpha)}; expected a "
            f"rank of 1 to {MAX_RANK} and a number of at most {MAX_ALPHA}"
        )
    return rank, alpha / (sqrt(rank) if config.get("use_rslora") else rank)


def _is_scale(alpha: Any) -> TypeGuard[float]:
    return type(alpha) in {int, float} and abs(alpha) <= MAX_ALPHA  # which no NaN is


def _require(key: str, value: Any, allowed: Sequence[Any]) -> None:
    if not any(
        value is choice or (isinstance(choice, str) and value == choice) for choice in allowed
    ):
        raise CheckpointRefused(
            f"{ADAPTER_CONFIG}: {key} is {abridged(value)}, and a plain LoRA has "
            f"{' or '.join(map(repr, allowed))}; {INSTEAD}"
        )


def pair_factors(
    adapter: Mapping[str, TensorSpan], base: Mapping[str, TensorSpan], rank: int
) -> dict[str, tuple[str, str]]:
    """The names of A [r, in] and B [out, r] by the name of the base's weight [out, in]."""
    sides: dict[str, dict[str, str]] = {}
    for name in adapter:
        match = FACTOR.fullmatch(name)
        if match is None:
            raise CheckpointRefused(
                f"{ADAPTER_WEIGHTS}: tensor {name!r} is no lora_A or lora_B of a linear layer; "
                f"{INSTEAD}"
            )
        sides.setdefault(f"{match['module']}.weight", {})[match["side"]] = name
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
