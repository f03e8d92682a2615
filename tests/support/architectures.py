"""Whether two checkpoints are of one architecture, whatever saving changed in their configs."""

from pathlib import Path
from typing import Any

from holdfast.checkpoints.checkpoint import tensor_spans
from holdfast.checkpoints.json_files import strict_json

INCIDENTAL_CONFIG = frozenset({"transformers_version", "_name_or_path", "_commit_hash"})


def same_architecture(a: Path, b: Path) -> bool:
    """Whether the weights of one could be copied over the other's in a running engine.

    Same config but for what saving changes, and the same tensors by name, dtype and shape; how
    they are spread over files does not matter.
    """
    return _architecture(a) == _architecture(b)


def _architecture(folder: Path) -> tuple[dict[str, Any], dict[str, tuple[str, tuple[int, ...]]]]:
    config = strict_json((folder / "config.json").read_bytes(), str(folder / "config.json"))
    essential = {key: value for key, value in config.items() if key not in INCIDENTAL_CONFIG}
    if "dtype" in essential:  # transformers 5 writes `dtype` where 4 wrote `torch_dtype`
        essential["torch_dtype"] = essential.pop("dtype")
    tensors = {
        name: (span.dtype, span.shape)
        for file in sorted(folder.glob("*.safetensors"))
        for name, span in tensor_spans(file).items()
    }
    return essential, tensors
