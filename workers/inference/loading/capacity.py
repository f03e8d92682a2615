"""Whether the machine can hold a model: what it lacks is never the checkpoint's fault.

Looked at before the weights are read, since a process that takes too much memory is killed by the
system without a word.
"""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch

from holdfast.checkpoints.checkpoint import tensor_spans
from holdfast.checkpoints.safetensors_header import COMPUTED, DTYPE_BITS, TensorSpan
from holdfast.errors import MachineUnfit
from holdfast.forecast.free_memory import free_memory
from holdfast.probes.engine import Backend
from workers.inference.loading.model_config import read_config

GIB = 1 << 30
LOOKING_BYTES = 8 * GIB  # the headers of 92,000 tensors take one
STATM = Path("/proc/self/statm")
FULL = frozenset({errno.ENOMEM, errno.ENOSPC, errno.EDQUOT})
OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # torch's own words, CPU and CUDA


def check_memory(checkpoint: Path, backend: Backend, cache: int = 0) -> None:
    """Raise MachineUnfit where the weights, and a cache of so many bytes, find no room."""
    free = _free(backend)
    if free is None:
        return
    needed = weight_bytes(checkpoint, backend.dtype) + cache
    if needed > free:
        both = " and the cache" if cache else ""
        raise MachineUnfit(
            f"the weights{both} take {needed / GIB:.1f} GiB in {backend.dtype} and "
            f"{free / GIB:.1f} GiB "
            "of memory are free; end what else runs here, or use a machine with more"
        )


def weight_bytes(checkpoint: Path, dtype: str) -> int:
    """The bytes that the weights take in memory once they are loaded, at the least."""
    files = checkpoint.glob("*.safetensors")
    spans = (span for file in files for span in tensor_spans(file).values())
    return sum(_bytes(span, getattr(torch, dtype).itemsize) for span in spans)


def cache_bytes(checkpoint: Path, tokens: int, dtype: str) -> int:
    """The bytes of the keys and values of so many tokens, at the most; 0 where it keeps none."""
    config = read_config(checkpoint).get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int) or heads < 1:
        return 0
    key_value_heads = getattr(config, "num_key_value_heads", None) or heads
    if isinstance(key_value_heads, list):  # some families name one for each layer
        key_value_heads = max(key_value_heads)
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    numbers = 2 * config.num_hidden_layers * key_value_heads * width * tokens
    return int(numbers * getattr(torch, dtype).itemsize)


def _bytes(span: TensorSpan, itemsize: int) -> int:
    """A tensor's bytes: in the backend's dtype where it is computed with, else as it lies."""
    if span.dtype in COMPUTED:
        return prod(span.shape) * itemsize
    return prod(span.shape) * DTYPE_BITS[span.dtype] // 8


def _free(backend: Backend) -> int | None:
    """Bytes that are left on the device; None where that cannot be known from here."""
    if backend.name == "vllm":  # a process of its own asks the device, which it has to itself
        return None
    if not torch.cuda.is_available():
        return free_memory() or None
    free, _ = torch.cuda.mem_get_info()
    return free


@contextmanager
def bounded_memory() -> Iterator[None]:
    """A block that looks at a model without loading it, and so may take no more than a little.

    Numbers of a config become buffers here and there; the system would end a process without a word
    that fills them, where this is an error of the block.
    """
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(STATM.read_text(encoding="ascii").split()[0]) if STATM.is_file() else 0
    bound = pages * resource.getpagesize() + LOOKING_BYTES
    if pages and (limits[0] == resource.RLIM_INFINITY or bound < limits[0]):
        resource.setrlimit(resource.RLIMIT_AS, (bound, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@contextmanager
def blaming_machine() -> Iterator[None]:
    """Errors that tell of a lack of memory, disk or packages, as MachineUnfit."""
    try:
        yield
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if not is_lack(error):
            raise
        raise MachineUnfit(
            f"this machine cannot load the model ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}); give it what is missing and submit again"
        ) from error


def is_lack(error: Exception) -> bool:
    """Whether an error tells of the machine, and not of what was to be loaded."""
    if isinstance(error, OSError):
        return error.errno in FULL
    if isinstance(error, RuntimeError):
        return any(words in str(error) for words in OUT_OF_MEMORY)
    return True
