"""In which precision training multiplies: as HOLDFAST_DTYPE says, else as it was measured."""

import json
import os
import platform
import subprocess
import sys

import pytest
import torch

from training.devices.precision import (
    native_dtype,
    preferred_dtype,
    product_seconds,
    trains_in_bf16,
)
from training.weights.model import autocast

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("bfloat16", "dtype"), [(0.2, "bfloat16"), (1.9, "bfloat16"), (2.1, "float32"), (60, "float32")]
)
def test_bf16_may_take_twice_as_long(bfloat16: float, dtype: str) -> None:
    assert preferred_dtype({"bfloat16": bfloat16, "float32": 1.0}) == dtype


def test_every_thread_is_there_again_after_measuring() -> None:
    before = torch.get_num_threads()
    assert set(product_seconds()) == {"bfloat16", "float32"}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "auto"])
def test_a_setting_decides_what_a_step_multiplies_in(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DTYPE", dtype)
    expected = (native_dtype("cpu") if dtype == "auto" else dtype) == "bfloat16"
    assert trains_in_bf16(CPU) == expected
    with autocast(CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if expected else torch.float32)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN's limits are those of x86")
def test_the_command_says_the_dtype_and_what_it_was_measured_from() -> None:
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-m", "training.devices.precision"],
        env={**os.environ, **limits},
        capture_output=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["dtype"] == "float32"
    assert found["seconds"]["bfloat16"] > found["seconds"]["float32"]
