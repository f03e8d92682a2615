"""What the machine lacks is told from what is wrong with a checkpoint, by errors that are real."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, LlamaConfig, MambaConfig, PretrainedConfig

from holdfast.errors import MachineUnfit
from workers.inference.backends import backend_of
from workers.inference.loading.capacity import (
    blaming_machine,
    cache_bytes,
    check_memory,
    weight_bytes,
)

ROWS = 1 << 33  # times 64 columns in bfloat16: a tebibyte, and no byte of it on the disk


@pytest.fixture
def vast(tmp_path: Path) -> Path:
    """A checkpoint whose only tensor is larger than any machine's memory; its file is sparse."""
    size = ROWS * 64 * 2
    span = {"dtype": "BF16", "shape": [ROWS, 64], "data_offsets": [0, size]}
    header = json.dumps({"model.embed_tokens.weight": span}).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(file.tell() + size)
    return tmp_path


def test_weights_beyond_the_memory_are_refused_before_they_are_read(vast: Path) -> None:
    assert weight_bytes(vast, "bfloat16") == 1 << 40
    assert weight_bytes(vast, "float32") == 2 << 40
    with pytest.raises(MachineUnfit, match=r"take 1024\.0 GiB in bfloat16 and .* GiB of memory"):
        check_memory(vast, backend_of("transformers", "bfloat16"))


def test_a_cache_that_finds_no_room_is_the_machines_fault_too(tmp_path: Path) -> None:
    check_memory(tmp_path, backend_of("vllm", "bfloat16"), 1 << 20)
    with pytest.raises(MachineUnfit, match=r"the weights and the cache take 1024\.0 GiB"):
        check_memory(tmp_path, backend_of("vllm", "bfloat16"), 1 << 40)


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        (LlamaConfig(num_hidden_layers=32, num_key_value_heads=8, head_dim=128), 2 * 32 * 8 * 128),
        (LlamaConfig(num_hidden_layers=4, hidden_size=96, num_attention_heads=6), 2 * 4 * 96),
        (GPT2Config(n_layer=3, n_embd=64, n_head=4), 2 * 3 * 64),
        (MambaConfig(num_hidden_layers=2), 0),
    ],
    ids=lambda value: getattr(value, "model_type", value),
)
def test_what_keys_and_values_take(tmp_path: Path, config: PretrainedConfig, numbers: int) -> None:
    config.save_pretrained(tmp_path)
    assert cache_bytes(tmp_path, 2048, "bfloat16") == numbers * 2048 * 2
    assert cache_bytes(tmp_path, 2048, "float32") == numbers * 2048 * 4


def fill_the_disk() -> None:
    with Path("/dev/full").open("w") as file:
        file.write("x")


def lack_a_package() -> None:
    import a_package_that_is_not_installed  # type: ignore[import-not-found]  # noqa: F401


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (fill_the_disk, "No space left on device"),
        (lack_a_package, "No module named 'a_package_that_is_not_installed'"),
        (lambda: torch.empty(1 << 60), "allocate"),
        (lambda: bytearray(1 << 62), "MemoryError"),
    ],
)
def test_a_lack_of_disk_packages_or_memory_is_the_machines(
    fail: Callable[[], object], said: str
) -> None:
    with pytest.raises(MachineUnfit, match=said), blaming_machine():
        fail()


@pytest.mark.parametrize(
    "fail", [lambda: Path("/not/there").stat(), lambda: torch.zeros(2, 3) @ torch.zeros(2, 3)]
)
def test_any_other_error_stays_what_it_is(fail: Callable[[], object]) -> None:
    with pytest.raises((OSError, RuntimeError)) as caught, blaming_machine():
        fail()
    assert not isinstance(caught.value, MachineUnfit)
