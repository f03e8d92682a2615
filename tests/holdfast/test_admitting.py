"""What the admitting child answers, and that the server understands it as it was meant."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.admitting import checkpoint_of, refuse_if_refused, task_of
from holdfast.checkpoints.adapter import admit_checkpoint
from holdfast.errors import CheckpointRefused, HoldfastError, InvalidTaskData, NotBuilt
from holdfast.repairs.task_data import digest_of
from tests.support.checkpoint_files import sound_checkpoint
from tests.support.folders import write_tensors

A = "base_model.model.a.lora_A.weight"
B = "base_model.model.a.lora_B.weight"


def reply(request: dict[str, Any]) -> dict[str, Any]:
    """What a child answers."""
    child = subprocess.run(
        [sys.executable, "-P", "-m", "holdfast.admitting"],
        input=json.dumps(request).encode(),
        check=True,
        capture_output=True,
    )
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def test_a_checkpoint_comes_back_as_it_was_admitted(tmp_path: Path) -> None:
    base = sound_checkpoint(tmp_path / "model")
    write_tensors(base / "model.safetensors", {"a.weight": (2, 1)})
    (base / "optimizer.pt").touch()
    (adapter := tmp_path / "lora").mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    write_tensors(adapter / "adapter_model.safetensors", {A: (2, 1), B: (2, 2)})
    for named in (None, str(adapter)):
        ref = admit_checkpoint(str(base), named, [tmp_path])
        answer = reply({"checkpoint": str(base), "adapter": named, "roots": [str(tmp_path)]})
        again = checkpoint_of(answer)
        assert again == ref
        assert (again.ignored, type(again.path)) == (("optimizer.pt",), type(ref.path))
        assert [stamp.inode for stamp in again.stamps] == [stamp.inode for stamp in ref.stamps]


def test_task_data_comes_back_with_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n')
    task = task_of(reply({"task_data": str(path), "roots": [str(tmp_path)]}))
    assert (task.path, task.sha256) == (path, digest_of(path))


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"checkpoint": "/nowhere", "adapter": None}, CheckpointRefused),
        ({"checkpoint": "s3://bucket", "adapter": None}, NotBuilt),
        ({"task_data": "/nowhere"}, InvalidTaskData),
    ],
)
def test_a_refusal_comes_back_as_it_is(
    request_: dict[str, Any], error: type[HoldfastError], tmp_path: Path
) -> None:
    with pytest.raises(error):
        refuse_if_refused(reply(request_ | {"roots": [str(tmp_path)]}))
