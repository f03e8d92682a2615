"""What an engine computes in: measured in a process of its own and kept, unless it is set."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import EngineFailed, InvalidSettings
from holdfast.settings import Settings, read_settings
from workers.children import dtype
from workers.children.dtype import Measured, dtype_of, load_or_measure
from workers.children.supervisor import RunnerEngine
from workers.inference.backends import backend_of

AVX2_ONLY = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def settings_of(home: Path, **more: str) -> Settings:
    named = {f"HOLDFAST_{name.upper()}": value for name, value in more.items()}
    return read_settings({"HOLDFAST_HOME": str(home), **named})


def kept_files(home: Path) -> list[Path]:
    return sorted((home / "cache").glob("dtype-*.json"))


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_a_dtype_that_is_set_is_both_engines_and_nothing_is_measured(
    home: Path, engine: str, name: str
) -> None:
    settings = settings_of(home, engine=engine, dtype=name)
    assert RunnerEngine(settings).backend.dtype == dtype_of(settings) == name
    assert kept_files(home) == []


def test_a_dtype_that_is_none_is_refused(home: Path) -> None:
    with pytest.raises(InvalidSettings, match="HOLDFAST_DTYPE"):
        settings_of(home, dtype="fp8")


def test_a_scripted_engine_computes_nothing_and_measures_nothing(home: Path) -> None:
    settings = settings_of(home, engine="scripted")
    assert RunnerEngine(settings).backend == backend_of("scripted", "auto")
    assert dtype_of(settings) == "auto"
    assert kept_files(home) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN's limits are those of x86")
def test_instructions_that_emulate_bf16_give_float32(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in AVX2_ONLY.items():
        monkeypatch.setenv(name, value)
    found = load_or_measure(home)
    assert found.seconds is not None
    assert found.dtype == "float32"
    assert found.seconds["bfloat16"] > 2 * found.seconds["float32"]
    for engine in ("vllm", "transformers"):
        assert RunnerEngine(settings_of(home, engine=engine)).backend.dtype == "float32"
    assert len(kept_files(home)) == 1


def test_a_processor_with_bf16_computes_in_it(home: Path) -> None:
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    if not flags & {"avx512_bf16", "amx_bf16", "bf16"}:
        pytest.skip("this processor has no bf16 instructions")
    assert load_or_measure(home).dtype == "bfloat16"


def test_what_was_measured_is_kept_for_this_machine_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_or_measure(home)
    (file,) = kept_files(home)
    other = "float32" if first.dtype == "bfloat16" else "bfloat16"
    file.write_text(json.dumps({"dtype": other, "seconds": None}))
    assert load_or_measure(home).dtype == other  # read, not measured again
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    load_or_measure(home)
    assert len(kept_files(home)) == 2


def test_a_measurement_that_does_not_run_says_what_to_set(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dtype, "MEASURING", "no_such_module")
    with pytest.raises(EngineFailed, match=r"no_such_module.*HOLDFAST_DTYPE"):
        load_or_measure(home)
    assert kept_files(home) == []


def test_whoever_asks_for_it_loads_no_model_library(home: Path) -> None:
    code = (
        "import sys; from holdfast.settings import read_settings; "
        "from workers.children.supervisor import RunnerEngine; "
        "print(RunnerEngine(read_settings()).backend.dtype, 'torch' in sys.modules)"
    )
    environment = {**os.environ, "HOLDFAST_HOME": str(home), "HOLDFAST_ENGINE": "transformers"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [load_or_measure(home).dtype, "False"]


def test_a_kept_measurement_is_read_back_as_it_was_written(home: Path) -> None:
    found = load_or_measure(home)
    (file,) = kept_files(home)
    assert Measured.model_validate_json(file.read_bytes()) == found
