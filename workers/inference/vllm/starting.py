"""How vLLM is started on a checkpoint, and what is looked at before and after that."""

import gc
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from vllm import LLM, ModelRegistry

from holdfast.errors import CheckpointRefused, MachineUnfit
from holdfast.probes.engine import Backend
from workers.inference.backends import Devices
from workers.inference.loading.capacity import blaming_machine, cache_bytes, check_memory
from workers.inference.vllm.swapping import Layout, has_head
from workers.inference.vllm.worker import WorkerMethods

CPU_CACHE_BYTES = 1 << 30  # 45,000 tokens of a 135M model; more where one prompt takes more
BLOCK_SIZE = 32  # vLLM's 128 on the CPU is longer than the prompts whose prefix is worth sharing
UNTIED = (
    "the files hold no head, since it is tied to the embedding, and vLLM does not tie that of "
    "{family}, so that it would be random; save the model with a head of its own and "
    "tie_word_embeddings false, or ask it with HOLDFAST_ENGINE=transformers"
)


def start_vllm(
    checkpoint: Path,
    layout: Layout,
    backend: Backend,
    length: int,
    devices: Devices,
) -> LLM:
    """A running vLLM; CheckpointRefused where it loads no such model, MachineUnfit without room."""
    cache = _cache_bytes(checkpoint, backend, length)
    check_memory(checkpoint, backend, cache)  # else vLLM blames what it was given
    on_cpu = backend.name == "vllm-cpu"
    if on_cpu:
        _import_models(layout.config.get("architectures") or [])
    options: dict[str, Any] = (
        {"enforce_eager": True, "kv_cache_memory_bytes": cache, "block_size": BLOCK_SIZE}
        if on_cpu
        else {"gpu_memory_utilization": devices.memory_share}
    )
    if devices.count > 1:
        options |= _split(devices, on_cpu=on_cpu)
    with blaming_machine():
        llm = _load(checkpoint, backend, length, options)
        if on_cpu:
            llm.collective_rpc(WorkerMethods.ask_for_tiles.__name__)
    gc.collect()
    gc.freeze()  # as vLLM does in a process of its own: else a tenth of the time goes there
    return llm


def _load(checkpoint: Path, backend: Backend, length: int, options: dict[str, Any]) -> LLM:
    try:
        return LLM(
            model=str(checkpoint),
            load_format="safetensors",
            trust_remote_code=False,
            dtype=backend.dtype,  # type: ignore[arg-type]  # one of its names, or it says so
            generation_config="vllm",  # the checkpoint's could change how answers are drawn
            max_model_len=length,
            seed=0,
            disable_log_stats=True,
            enable_prefix_caching=True,
            worker_extension_cls=f"{WorkerMethods.__module__}.{WorkerMethods.__name__}",
            **options,
        )
    except ValueError as error:
        raise CheckpointRefused(f"{checkpoint}: vLLM does not load it: {error}") from error


def _split(devices: Devices, *, on_cpu: bool) -> dict[str, Any]:
    """The options that spread a model; MachineUnfit where there are fewer devices than that."""
    found = torch.cuda.device_count()
    if not on_cpu and devices.executor == "mp" and found < devices.count:
        raise MachineUnfit(
            f"found {found} devices, expected {devices.count} (HOLDFAST_TENSOR_PARALLEL x "
            "HOLDFAST_PIPELINE_PARALLEL); lower them, or let this worker see more devices"
        )
    return {
        "tensor_parallel_size": devices.tensor_parallel,
        "pipeline_parallel_size": devices.pipeline_parallel,
        "distributed_executor_backend": devices.executor,
    }


def ties_head(llm: LLM, layout: Layout) -> bool:
    """Whether the head is the files', or the embedding where they hold none: never one made up."""
    return has_head(layout) or all(llm.collective_rpc(WorkerMethods.heads_are_embeddings.__name__))


def _cache_bytes(checkpoint: Path, backend: Backend, length: int) -> int:
    """The cache's bytes of a CPU's memory; 0 on a GPU, where it is what the weights leave."""
    if backend.name != "vllm-cpu":
        return 0
    return max(CPU_CACHE_BYTES, cache_bytes(checkpoint, length + 2 * BLOCK_SIZE, backend.dtype))


def _import_models(names: Sequence[str]) -> None:
    """Have vLLM know these classes, before it starts a process only to look at them.

    It does so lest its own process touches a GPU too early, for each class that its cache does not
    know: 8 to 15 s, in which torch and vLLM are imported once more. What cannot be imported is left
    to that process, and to what vLLM says of it.
    """
    for name in names:
        if (model := ModelRegistry.models.get(name)) is not None:
            with suppress(ImportError):
                ModelRegistry.register_model(name, model.load_model_cls())


def model_length(checkpoint: Path, limit: int) -> int:
    """The context to start with: as long as it was set, and no longer than the model's own."""
    try:
        config = json.loads((checkpoint / "config.json").read_bytes())
    except FileNotFoundError as error:
        raise CheckpointRefused(f"{checkpoint} holds no config.json") from error
    return min(limit, int(config.get("max_position_embeddings") or limit))
