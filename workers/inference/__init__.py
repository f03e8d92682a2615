"""Engines by name. The three modules are imported only when asked for: two of them bring torch."""

from holdfast.settings import EngineName
from workers.backends import backend_of
from workers.engine import Engine


def open_engine(name: EngineName, dtype: str, *, gpu_memory_utilization: float = 0.85) -> Engine:
    """An engine that computes in `dtype`, with no checkpoint open yet."""
    if name == "scripted":
        from workers.inference.scripted import ScriptedEngine

        return ScriptedEngine()
    if name == "transformers":
        from workers.inference.transformers_engine import TransformersEngine

        return TransformersEngine(backend_of(name, dtype))
    from workers.inference.vllm_engine import VllmEngine

    return VllmEngine(backend_of(name, dtype), gpu_memory_utilization)
