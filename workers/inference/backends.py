"""The backend that an engine's answers are filed under, known without loading it.

A cached answer is looked up before any model library is imported, so name and version are read from
what is installed; the dtype is the caller's (workers/children/dtype.py decides it). The runner
states its own on starting, and the two must agree.
"""

from importlib.metadata import PackageNotFoundError, version

from holdfast.errors import InvalidSettings
from holdfast.probes.engine import Backend
from holdfast.settings import MAX_MODEL_LEN, EngineName

SCRIPTED_VERSION = "1"


def backend_of(engine: EngineName, dtype: str, max_model_len: int = MAX_MODEL_LEN) -> Backend:
    """The backend that this installation gives an engine of that name, computing in `dtype`."""
    if engine == "scripted":
        return Backend("scripted", SCRIPTED_VERSION, "none")
    if engine == "transformers":
        name = f"transformers{_device()}"
        return Backend(name, installed_version("transformers"), dtype, max_model_len)
    name = f"vllm{_device()}"
    return Backend(name, installed_version(name), dtype, max_model_len)


def installed_version(package: str) -> str:
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
    return "-cpu" if installed_version("torch").endswith("+cpu") else ""
