"""Checkpoint folders that pass admission, without a model library: one small tensor."""

import json
import struct
from math import prod
from pathlib import Path


def write_tensors(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str = "F32") -> Path:
    """A safetensors file of tensors that are all zero."""
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + prod(shape) * {"F32": 4, "BF16": 2, "I64": 8}[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(end))
    return path


def write_checkpoint(folder: Path, *, value: float = 0.0, template: str = "{{ messages }}") -> Path:
    """A folder with config, template and one fp32 tensor of two; `value` makes it another one."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 2}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    content = struct.pack("<Q", len(header)) + header + struct.pack("<2f", value, value)
    (folder / "model.safetensors").write_bytes(content)
    return folder
