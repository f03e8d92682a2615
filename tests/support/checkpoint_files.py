"""Small files that make up a checkpoint, sound and tampered with, without any model library."""

import json
import struct
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {"model_type": "llama", "hidden_size": 2, "torch_dtype": "float32"}
HEADER: dict[str, dict[str, Any]] = {
    "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [8, 14]},
}


def safetensors(
    header: object = HEADER, data: bytes = bytes(14), length: int | None = None
) -> bytes:
    """A file of weights: its header's length, its header, its data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(**changes: Any) -> bytes:
    """A file whose first tensor was tampered with."""
    return safetensors({**HEADER, "a": HEADER["a"] | changes})


def sound_checkpoint(folder: Path) -> Path:
    """A folder with everything that a checkpoint must hold."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    (folder / "LICENSE").write_text("Apache-2.0")
    return folder


def shard(folder: Path, weight_map: dict[str, Any] | None = None) -> None:
    """The same weights in two files, with an index."""
    (folder / "model.safetensors").unlink()
    for name, span in HEADER.items():
        size = span["data_offsets"][1] - span["data_offsets"][0]
        header = {name: span | {"data_offsets": [0, size]}}
        (folder / f"part-{name}.safetensors").write_bytes(safetensors(header, bytes(size)))
    weights = weight_map or {"a": "part-a.safetensors", "b": "part-b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
