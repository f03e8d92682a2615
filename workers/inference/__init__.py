"""Engines by name. The three modules are imported only when asked for: two of them bring torch."""

from holdfast.probes.engine import Backend, Engine
from holdfast.settings import EngineName
from workers.inference.backends import ONE_DEVICE, Devices


def open_engine(name: EngineName, backend: Backend, devices: Devices = ONE_DEVICE) -> Engine:
    """An engine that computes as `backend` says, with no checkpoint open yet."""
    if name == "scripted":
        from workers.inference.scripted import ScriptedEngine

        return ScriptedEngine()
    if name == "transformers":
        from workers.inference.transformers.engine import TransformersEngine

        return TransformersEngine(backend)
    from workers.inference.vllm.engine import VllmEngine

    return VllmEngine(backend, devices)
