"""The backend that an engine's answers are filed under, known without loading it.

A cached answer is looked up before any model library is imported, so name and version are read from
what is installed; the dtype is the caller's (workers/children/dtype.py decides it). The runner
states its own on starting, and the two must agree.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from holdfast.errors import InvalidSettings
from holdfast.probes.engine import Backend
from holdfast.settings import MAX_MODEL_LEN, EngineName, Executor, Settings

SCRIPTED_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Devices:
    """The share of each GPU that vLLM may take, and over how many it splits a model."""

    memory_share: float = 0.85
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    executor: Executor = "mp"

    @property
    def count(self) -> int:
        """How many devices one model is spread over."""
        return self.tensor_parallel * self.pipeline_parallel


ONE_DEVICE = Devices()


def devices_of(settings: Settings) -> Devices:
    """The devices that the settings give to vLLM; InvalidSettings where it cannot split so."""
    if settings.pipeline_parallel > 1 and _device() == "-cpu":
        raise InvalidSettings(
            f"HOLDFAST_PIPELINE_PARALLEL is {settings.pipeline_parallel}: vLLM's build for CPUs "
            "cuts no model into parts one after the other; HOLDFAST_TENSOR_PARALLEL splits there"
        )
    return Devices(
        settings.gpu_memory_utilization,
        settings.tensor_parallel,
        settings.pipeline_parallel,
        settings.parallel_executor,
    )


def backend_of(
    engine: EngineName,
    dtype: str,
    max_model_len: int = MAX_MODEL_LEN,
    tensor_parallel: int = 1,
) -> Backend:
    """The backend that this installation gives an engine of that name, computing in `dtype`."""
    if engine == "scripted":
        return Backend("scripted", SCRIPTED_VERSION, "none")
    if engine == "transformers":
        name = f"transformers{_device()}"
        return Backend(name, installed_version("transformers"), dtype, max_model_len)
    name = f"vllm{_device()}"
    return Backend(
        name, installed_version(name), dtype, max_model_len, tensor_parallel=tensor_parallel
    )


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
