"""The dtype that this machine's engines compute in: set by HOLDFAST_DTYPE, or measured once.

`auto` takes bfloat16 where it is computed well and float32 elsewhere. A child measures it
(training/devices/precision.py says how), because whoever asks has not loaded torch and never does;
the answer is kept in the data folder, by machine, library version and what the environment says of
instructions and devices. Both engines take it, and so do training and drift: the two sides of a
pair are always computed alike.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.errors import EngineFailed
from holdfast.settings import Settings, make_folder
from workers.children.environment import ARITHMETIC_PREFIXES, runner_environment
from workers.inference.backends import installed_version

MEASURING = "training.devices.precision"
DEVICES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
PROCESSOR = ("model name", "flags", "features", "cpu implementer", "cpu part")


class Measured(BaseModel):
    """The child's measurement: the dtype, and on a CPU the seconds of one product in each."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    dtype: Literal["bfloat16", "float32"]
    seconds: dict[str, float] | None


def dtype_of(settings: Settings) -> str:
    """The dtype that this machine computes in; the setting itself where no engine needs one.

    With the scripted engine, which computes nothing, `auto` is left to the child that trains.
    """
    if settings.dtype != "auto" or settings.engine == "scripted":
        return settings.dtype
    return load_or_measure(settings.home).dtype


def load_or_measure(home: Path) -> Measured:
    """The measurement of this machine: the one that is kept, or a new one."""
    machine = describe(os.environ)
    digest = hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()
    file = home / "cache" / f"dtype-{digest[:16]}.json"
    if file.is_file():
        return Measured.model_validate_json(file.read_bytes())
    measurement = _measure(home)
    make_folder(file.parent)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as partial:
        partial.write(measurement.model_dump_json())
    Path(partial.name).rename(file)
    return measurement


def describe(environment: Mapping[str, str]) -> dict[str, object]:
    """Everything that the measurement depends on."""
    gpus = Path("/proc/driver/nvidia/gpus").glob("*/information")
    return {
        "processor": _processor(Path("/proc/cpuinfo")),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": sorted(file.read_text().partition("\n")[0] for file in gpus),
        "torch": installed_version("torch"),
        "environment": {
            name: value
            for name, value in sorted(environment.items())
            if name in DEVICES or name.startswith(ARITHMETIC_PREFIXES)
        },
    }


def _processor(cpuinfo: Path) -> list[str]:
    """The lines that tell one kind of processor from another, each once."""
    if not cpuinfo.is_file():
        return []
    lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    return sorted({line for line in lines if line.lower().startswith(PROCESSOR)})


def _measure(home: Path) -> Measured:
    run = home / "run"
    make_folder(run)
    done = subprocess.run(
        [sys.executable, "-m", MEASURING],
        cwd=run,
        env=runner_environment(home, os.environ, {}),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return Measured.model_validate_json(done.stdout)
    except ValidationError as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EngineFailed(
            f"whether this machine computes bfloat16 well could not be measured ({last}); set "
            "HOLDFAST_DTYPE to bfloat16 or float32"
        ) from error
